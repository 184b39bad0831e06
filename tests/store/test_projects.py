"""A project is one, whether it is called by its name or by its directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from penchant_store import ItemFilter, NewEvent, NewMemory, Store
from penchant_store.migrate import migrate, migrations


class House:
    """A store that can be closed and opened again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store.open(home)

    def again(self) -> None:
        self.store.close()
        self.store = Store.open(self.home)

    def remember(self, text: str, project: str | None) -> str:
        (receipt,) = self.store.add_memories([NewMemory(text, project=project, scope="project")]).result()
        return receipt.id

    def say(self, text: str, project: str | None, session: str) -> str:
        event = NewEvent("message", "user", text, session=session, agent="test", project=project)
        return self.store.add_events([event]).result()[0].id

    def projects(self) -> dict[str, tuple[str | None, int]]:
        return {one.id: (one.path, one.n_items) for one in self.store.projects()}

    def found(self, project: str) -> set[str]:
        known = self.store.project_named(project)
        assert known is not None
        where = ItemFilter(project=known.key)
        return set(self.store.texts(self.store.candidates_by_words(["build"], 10, where).items))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.store.close()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_name_that_is_seen_as_a_directory_later_is_one_project(house: House, restarts: bool) -> None:
    first = house.remember("the build uses make", "orion")
    known = house.store.project_named("orion")
    assert known is not None
    if restarts:
        house.again()
    house.say("run the build", "/home/me/orion", "s1")
    house.remember("the build runs at night", "orion")
    assert list(house.projects().values()) == [("/home/me/orion", 3)]
    for name in ("orion", "/home/me/orion", "/home/me/orion/", known.id):
        assert house.found(name) == {"the build uses make", "run the build", "the build runs at night"}
    record = house.store.memory(first)
    assert record is not None
    assert record.project == "/home/me/orion"
    assert house.remember("the build uses make", "/home/me/orion") == first, "it says the same of the same"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_directory_that_is_called_by_its_name_later_is_one_project(house: House, restarts: bool) -> None:
    house.say("run the build", "/home/me/orion", "s1")
    if restarts:
        house.again()
    house.remember("the build uses make", "orion")
    assert list(house.projects().values()) == [("/home/me/orion", 2)]


def test_a_name_of_two_directories_joins_neither(house: House) -> None:
    house.say("run the build", "/home/me/orion", "s1")
    house.say("run the build", "/srv/orion", "s2")
    assert house.store.project_named("orion") is None
    house.remember("the build uses make", "orion")
    house.say("run the build", "/opt/orion", "s3")
    assert sorted(path or "" for path, _ in house.projects().values()) == [
        "", "/home/me/orion", "/opt/orion", "/srv/orion",
    ]  # fmt: skip
    assert house.found("orion") == {"the build uses make"}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("starts_by_name", [False, True])
def test_a_name_goes_on_to_mean_what_it_meant_when_another_directory_has_it_too(
    house: House, starts_by_name: bool, restarts: bool
) -> None:
    if starts_by_name:
        house.remember("the build uses make", "orion")
        house.say("run the build", "/home/me/orion", "s1")
    else:
        house.say("run the build", "/home/me/orion", "s1")
        house.remember("the build uses make", "orion")
    house.say("another build", "/srv/orion", "s2")
    if restarts:
        house.again()
    house.remember("the build runs at night", "orion")
    assert sorted(house.projects().values(), key=str) == [("/home/me/orion", 3), ("/srv/orion", 1)]
    assert house.found("orion") == {"run the build", "the build uses make", "the build runs at night"}
    assert house.found("/srv/orion") == {"another build"}


def test_a_name_with_a_slash_is_no_directory(house: House) -> None:
    house.remember("the build uses make", "orion")
    house.remember("the build uses bazel", "team/orion")
    assert sorted(house.projects().values(), key=str) == [("team/orion", 1), (None, 1)]


def test_a_windows_directory_joins_its_name_too(house: House) -> None:
    house.remember("the build uses make", "orion")
    house.say("run the build", r"C:\work\orion", "s1")
    assert list(house.projects().values()) == [(r"C:\work\orion", 2)]


def test_what_was_joined_in_a_write_that_failed_is_not_joined(house: House) -> None:
    house.remember("the build uses make", "orion")

    def broken(connection: object) -> None:
        raise RuntimeError("the write fails")

    joined = house.store.add_memories([NewMemory("the build uses bazel", project="/home/me/orion")])
    failed = house.store._writer.submit(broken)
    with pytest.raises(RuntimeError):
        failed.result()
    assert joined.result()[0].status == "stored"
    house.again()
    assert list(house.projects().values()) == [("/home/me/orion", 2)]


def test_a_file_of_the_first_version_keeps_its_names(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Store.open(home).close()
    path = home / "memory.db"
    for file in home.glob("memory.db*"):
        file.unlink()
    connection = dbapi2.connect(str(path), isolation_level=None)
    migrate(connection, "memory", path, "2026-01-01T00:00:00.000Z", migrations("memory")[:1])
    rows = [("i1", "orion", None), ("i2", "orion", "/home/me/orion"), ("i3", "lyra", "/home/me/lyra")]
    connection.executemany(
        "INSERT INTO projects (id, name, path, created_at) VALUES (?, ?, ?, '2026-01-01T00:00:00.000Z')", rows
    )
    connection.close()
    store = Store.open(home)
    try:
        named = {name: store.project_named(name) for name in ("orion", "/home/me/orion", "lyra")}
    finally:
        store.close()
    assert {name: one.id for name, one in named.items() if one} == {
        "orion": "i1",
        "/home/me/orion": "i2",
        "lyra": "i3",
    }
