"""The caps: measured, held, and said with the setting that moves them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penchant_daemon.config import Limits as Caps
from penchant_daemon.errors import StorageFull
from penchant_daemon.limits import MB, Limits, size_of

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Start = Callable[..., AbstractContextManager["Daemon"]]

ENOUGH_MB = 100_000  # the tests' own process is no daemon


def test_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 100_000)
    (tmp_path / "c").symlink_to("/etc")
    assert 100_000 <= size_of(tmp_path) < 200_000
    assert size_of(tmp_path / "gone") == 0


def test_write_at_the_cap_is_refused_with_the_cap_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    limits = Limits(tmp_path, Caps(disk_mb=1, ram_daemon_mb=ENOUGH_MB))
    limits.check_write(1_000)
    (tmp_path / "data").write_bytes(b"x" * (2 * MB))
    limits.check_write(1_000)  # not measured again for a thousand characters
    with pytest.raises(StorageFull, match="limits.disk_mb is 1") as caught:
        limits.check_write(1_000_000)
    assert "config.toml" in (caught.value.hint or "")
    assert [problem.part for problem in limits.problems()] == ["disk"]
    assert limits.why_paused() == "the disk is full"
    (tmp_path / "data").unlink()
    limits.check_write(1_000)
    assert limits.problems() == []
    assert limits.may_work()


def test_memory_over_the_cap_relieves_pauses_and_says_so(tmp_path: Path) -> None:
    relieved: list[bool] = []
    limits = Limits(tmp_path, Caps(ram_daemon_mb=ENOUGH_MB), relieve=lambda: relieved.append(True))
    assert not relieved
    assert limits.may_work()
    held = Caps.model_construct(**{**Caps().model_dump(), "ram_daemon_mb": 1})
    tight = Limits(tmp_path, held, relieve=lambda: relieved.append(True))
    assert relieved == [True]
    assert not tight.may_work()
    assert "limits.ram_daemon_mb = 1" in (tight.why_paused() or "")
    assert [problem.part for problem in tight.problems()] == ["ram"]
    assert tight.usage()["ram_daemon"].used > 1


def test_daemon_at_its_memory_cap_goes_on_by_words(start_daemon: Start) -> None:
    from penchant_daemon.wire import MemoryIn, RecallRequest

    with start_daemon(config="[limits]\nram_daemon_mb = 100\n") as daemon:
        [receipt] = daemon.client.remember([MemoryIn(content="the ibis nests in the reeds")])
        found = daemon.client.recall(RecallRequest(query="where does the ibis nest"))
        assert found.results[0].id == receipt.id
        status = daemon.client.status()
        assert status.limits["ram_daemon"].cap == 100
