"""Pulling models from a hub that is served on loopback."""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penchant_daemon import config
from penchant_daemon.cli.models import command
from penchant_daemon.models import ModelCorrupt, ModelMissing, PullFailed, open_embedder
from penchant_daemon.models.catalogue import DEFAULT_EMBEDDER, DEFAULT_LOCAL, PACKAGED
from penchant_daemon.models.pull import Wanted, pull
from penchant_daemon.models.registry import Model, find_model, list_models, pulled_dir, verify_model

REPO, GGUF = "someone/tiny-instruct", "tiny.Q4.gguf"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the hub serves: one repository at one revision.

    :param cut_after: the body of the first large answer ends after so many bytes, as on a bad line.
    """

    repo: str
    files: dict[str, bytes]
    url: str = ""
    cut_after: int | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    served_bytes: int = 0

    def sha256(self, file: str) -> str:
        return hashlib.sha256(self.files[file]).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves until the block ends; `hub.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None: ...

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            hub.asked.append((self.command, self.path, self.headers.get("Range")))
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/?]+)(?:\?.*)?", self.path):
                self.info(match[1], match[2])
            elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
                self.file(match[1], match[2], match[3], with_body)
            else:
                self.refuse(404, "EntryNotFound")

        def info(self, repo: str, revision: str) -> None:
            if repo != hub.repo:
                return self.refuse(404, "RepoNotFound")
            if revision != REVISION:
                return self.refuse(404, "RevisionNotFound")
            siblings = [{"rfilename": name} for name in hub.files]
            body = json.dumps({"id": repo, "modelId": repo, "sha": REVISION, "siblings": siblings}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

        def file(self, repo: str, revision: str, name: str, with_body: bool) -> None:
            if repo != hub.repo or revision != REVISION or name not in hub.files:
                return self.refuse(404, "EntryNotFound")
            data, first = hub.files[name], 0
            if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
                first = int(match[1])
            body = data[first:]
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("X-Repo-Commit", REVISION)
            # As the real one: the SHA-256 for large files, git's SHA-1 for small ones.
            is_large = name.endswith((".gguf", ".safetensors"))
            digest = hashlib.sha256(data) if is_large else hashlib.sha1(data, usedforsecurity=False)
            self.send_header("ETag", f'"{digest.hexdigest()}"')
            self.end_headers()
            if with_body:
                if hub.cut_after is not None and len(body) > hub.cut_after:
                    body, hub.cut_after = body[: hub.cut_after], None
                    self.close_connection = True
                self.wfile.write(body)
                hub.served_bytes += len(body)
            return None

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A repository with one model of 3 MB."""
    data = b"GGUF" + random.Random(5).randbytes(3_000_000)
    with serving(Hub(REPO, {GGUF: data, "README.md": b"# tiny"})) as found:
        yield found


def get(hub: Hub, home: Path, **changes: Any) -> Model:
    wanted: dict[str, Any] = {
        "repo": REPO,
        "revision": REVISION,
        "file": GGUF,
        "sha256": hub.sha256(GGUF),
        **changes,
    }
    return pull(Wanted(**wanted), home, endpoint=hub.url)


def leftovers(home: Path) -> list[str]:
    folder = pulled_dir(home)
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    )


def test_a_model_is_fetched_checked_and_found_by_name(hub: Hub, tmp_path: Path) -> None:
    model = get(hub, tmp_path)
    assert model == find_model(REPO, "local", tmp_path)
    assert model.path.read_bytes() == hub.files[GGUF]
    assert model.path.stat().st_mode & 0o777 == 0o600
    assert model.revision == REVISION
    assert {found.name for found in list_models(tmp_path)} == {DEFAULT_EMBEDDER, DEFAULT_LOCAL, REPO}
    verify_model(find_model(REPO, "local", tmp_path), tmp_path)


def test_a_second_pull_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    n_asked = len(hub.asked)
    get(hub, tmp_path)
    assert len(hub.asked) == n_asked


def test_a_wrong_hash_is_refused_and_removed(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="expected aaaa"):
        get(hub, tmp_path, sha256="a" * 64)
    assert leftovers(tmp_path) == []
    with pytest.raises(ModelMissing):
        find_model(REPO, "local", tmp_path)


def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, tmp_path: Path) -> None:
    hub.files[GGUF] *= 8
    hub.cut_after = 15_000_000  # the first 10 MB are written by then
    model = get(hub, tmp_path)
    assert model.path.read_bytes() == hub.files[GGUF]
    ranges = [asked[2] for asked in hub.asked if asked[0] == "GET" and asked[2]]
    assert ranges == [f"bytes={10 * 1024 * 1024}-"]


def test_a_download_that_was_stopped_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.files[GGUF] *= 8  # 24 MB: several chunks

    class Stopped(Exception): ...

    def stop(file: str, done: int, total: int) -> None:
        assert (file, total) == (GGUF, len(hub.files[GGUF]))
        if done > 5_000_000:
            raise Stopped

    wanted = Wanted(REPO, REVISION, GGUF, hub.sha256(GGUF))
    with pytest.raises(Stopped):
        pull(wanted, tmp_path, endpoint=hub.url, progress=stop)
    assert [name.rpartition("/")[2] for name in leftovers(tmp_path)] == [f"{GGUF}.part"]
    with pytest.raises(ModelMissing):
        find_model(REPO, "local", tmp_path)
    hub.asked.clear()
    model = pull(wanted, tmp_path, endpoint=hub.url)
    assert model.path.read_bytes() == hub.files[GGUF]
    [resumed] = [asked[2] for asked in hub.asked if asked[0] == "GET" and asked[1].endswith(GGUF)]
    assert resumed is not None and int(resumed.removeprefix("bytes=").rstrip("-")) > 5_000_000


def test_without_a_hash_the_first_one_is_recorded_and_later_pulls_are_held_to_it(
    hub: Hub, tmp_path: Path
) -> None:
    model = get(hub, tmp_path, sha256=None)
    assert model.about == "hash recorded at the first download"
    model.path.write_bytes(b"GGUF changed")
    with pytest.raises(ModelCorrupt):
        verify_model(find_model(REPO, "local", tmp_path), tmp_path)
    mended = get(hub, tmp_path, sha256=None)
    assert mended.path.read_bytes() == hub.files[GGUF]
    assert mended.about == "hash recorded at the first download"
    assert get(hub, tmp_path).about == "hash given by you"
    mended.path.unlink()
    assert get(hub, tmp_path, sha256=None).about == "hash given by you"
    mended.path.write_bytes(b"GGUF changed")
    hub.files[GGUF] = b"GGUF the hub changed too"
    with pytest.raises(PullFailed, match="expected"):
        get(hub, tmp_path, sha256=None)
    with pytest.raises(ModelCorrupt):
        verify_model(find_model(REPO, "local", tmp_path), tmp_path)


def test_a_hash_that_a_model_which_is_here_does_not_have_removes_it(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path, sha256=None)
    with pytest.raises(PullFailed, match="the model was removed"):
        get(hub, tmp_path, sha256="a" * 64)
    with pytest.raises(ModelMissing):
        find_model(REPO, "local", tmp_path)


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_the_doctor_finds_a_damaged_model_by_its_hash_and_names_the_command_that_mends_it(
    hub: Hub, free_env: dict[str, str], penchant: Callable[..., subprocess.CompletedProcess[str]], damage: str
) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    model = get(hub, home)
    config.set_value(home, "models.language_model", REPO)
    env = {**free_env, "HF_ENDPOINT": hub.url}

    def unusable() -> list[dict[str, str]]:
        findings = json.loads(penchant(env, "doctor", "--json").stdout)["findings"]
        return [each for each in findings if each["code"] == "language_model_unusable"]

    assert unusable() == []
    if damage == "gone":
        model.path.unlink()
    else:
        model.path.write_bytes(b"GGUF" + b"x" * 3_000_000)
    (finding,) = unusable()
    assert str(model.path) in finding["what"]
    assert finding["command"] == f"penchant models pull {REPO} --revision {REVISION} --file {GGUF}"
    done = penchant(env, *finding["command"].split()[1:])
    assert done.returncode == 0, done.stderr
    assert unusable() == []
    assert model.path.read_bytes() == hub.files[GGUF]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repo": "nobody/nothing"}, "has no repository nobody/nothing"),
        ({"revision": "f" * 40}, "has no revision ffff"),
        ({"revision": "main"}, "'main' is no full revision"),
        ({"file": "other.gguf"}, "has no file other.gguf"),
        ({"file": "../../etc/passwd"}, "is no .gguf or .safetensors file"),
        ({"file": "model.bin"}, "is no .gguf or .safetensors file"),
        ({"file": None}, "has no file model.safetensors"),
        ({"repo": "not a repo"}, "is no repository"),
        ({"sha256": "123"}, "is no SHA-256"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_leaves_nothing(
    hub: Hub, tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    with pytest.raises(PullFailed, match=said):
        get(hub, tmp_path, **changes)
    assert leftovers(tmp_path) == []


def test_a_hub_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PullFailed, match="can't be reached") as caught:
        pull(Wanted(REPO, REVISION, GGUF), tmp_path, endpoint=f"http://127.0.0.1:{port}")
    assert "network" in (caught.value.hint or "")


def test_a_model_over_the_disk_cap_is_not_begun(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="3 MB, and 1 MB are left"):
        pull(Wanted(REPO, REVISION, GGUF), tmp_path, max_bytes=1_000_000, endpoint=hub.url)
    assert leftovers(tmp_path) == []


def test_another_embedder_is_pulled_exported_and_used(tmp_path: Path) -> None:
    source = PACKAGED[0].locate()
    files = {
        str(path.relative_to(source)): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and path.name != "data_config.json"
    }
    files["handler.py"] = b"print('never fetched')"
    files["pytorch_model.bin"] = b"never fetched"
    files["config_sentence_transformers.json"] = (
        b'{"__version__": {"sentence_transformers": "2.0.0"}, "prompts": {"query": "query: ", "document": ""}}'
    )
    with serving(Hub("someone/embedder", files)) as hub:
        wanted = Wanted("someone/embedder", REVISION, sha256=hub.sha256("model.safetensors"))
        model = pull(wanted, tmp_path, endpoint=hub.url)
    assert model.kind == "embedder"
    assert not (model.path / "handler.py").exists()
    assert not (model.path / "pytorch_model.bin").exists()
    settings = config.Config(models=config.Models(embedder="someone/embedder"))
    embedder = open_embedder(settings, tmp_path)
    assert embedder.name == "someone--embedder-53aa5117"
    plain = embedder.encode(["query: where is it", "where is it"]).pooled
    asked = embedder.encode_query("where is it")  # with the model's own prefix
    with_prefix, without = plain @ asked
    assert with_prefix > 0.98 > without


def test_the_command_line_lists_pulls_and_chooses(
    hub: Hub, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = short_path / "data"
    monkeypatch.setenv("PENCHANT_HOME", str(home))
    runner = CliRunner()
    listed = runner.invoke(command, ["list"])
    assert listed.exit_code == 0, listed.output
    assert f"*  {DEFAULT_EMBEDDER}" in listed.output
    unpinned = runner.invoke(command, ["pull", REPO])
    assert unpinned.exit_code == 2
    assert "--revision" in unpinned.output
    pulled = runner.invoke(command, ["pull", f"{REPO}@{REVISION}", "--file", GGUF, "--endpoint", hub.url])
    assert pulled.exit_code == 0, pulled.output
    assert "nobody vouched for this hash" in pulled.output
    assert runner.invoke(command, ["use", "someone/else"]).exit_code == 2
    chosen = runner.invoke(command, ["use", REPO])
    assert chosen.exit_code == 0, chosen.output
    assert config.load(home).models.language_model == REPO
    assert f"*  {REPO}" in runner.invoke(command, ["list"]).output
