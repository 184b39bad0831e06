"""config.toml: read strictly, written without losing what a person wrote into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant_daemon import config
from penchant_daemon.errors import ConfigError


def test_missing_and_empty_files_mean_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path) == config.Config()
    (tmp_path / "config.toml").write_text("")
    assert config.load(tmp_path) == config.Config()


def test_unknown_key_is_refused_by_name_and_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\nram_deamon_mb = 300\n")
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)
    assert "limits.ram_deamon_mb" in caught.value.message
    assert str(tmp_path / "config.toml") in caught.value.message
    assert "limits.ram_daemon_mb" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[limits]\ndisk_mb = '10'\n", "limits.disk_mb"),
        ("[limits]\nbackground_cpu_percent = 0\n", "limits.background_cpu_percent"),
        ("[watch]\nassistants = ['emacs']\n", "watch.assistants.0"),
        ("limits = 3\n", "limits"),
        ("[models]\nembedder = ''\n", "models.embedder"),
    ],
)
def test_wrong_value_is_refused_by_name(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)
    assert f": {key}: " in caught.value.message


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[limits\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.load(tmp_path)
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)


def test_setting_a_value_keeps_comments_and_other_values(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[limits]\ndisk_mb = 50  # small disk\n\n[models]\nidle_s = 9\n")
    written = config.set_value(tmp_path, "models.embedder", "bge-small")
    assert written.models.embedder == "bge-small"
    assert config.load(tmp_path) == written
    text = path.read_text()
    assert "# mine" in text
    assert "disk_mb = 50  # small disk" in text
    assert "idle_s = 9" in text


def test_value_that_does_not_fit_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[limits]\ndisk_mb = 50\n")
    for key, value in (("limits.disk_mb", "many"), ("limits.disc_mb", 5), ("nothing", 1), ("limits", 1)):
        with pytest.raises(ConfigError):
            config.set_value(tmp_path, key, value)
    assert path.read_text() == "[limits]\ndisk_mb = 50\n"
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


@given(st.lists(st.text(min_size=1), max_size=3), st.booleans())
def test_every_list_of_texts_survives_writing_and_reading(paths: list[str], enabled: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config.set_values(home, {"watch.paths": paths, "watch.enabled": enabled})
        assert config.load(home).watch.paths == paths
        assert config.load(home).watch.enabled is enabled


def test_reference_documents_every_setting_with_its_default_and_effect() -> None:
    rows = config.reference()
    assert ("limits", "pause_on_battery", "true") in [row[:3] for row in rows]
    assert len(rows) == sum(
        len(type(getattr(config.Config(), name)).model_fields) for name in config.Config.model_fields
    )
    assert all(effect.endswith(".") for _, _, _, effect in rows)
