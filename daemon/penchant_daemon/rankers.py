"""Which model ranks: the prior that ships, or what was learned here; and the files in which that is kept.

A learned model is a text file under `ranker/`, named by its digest and recorded in the store with what it was fitted
to and why it has its status. One that is corrupt, foreign or needs a feature that is no longer computed is refused
with the reason; then the prior ranks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import penchant_ranker as ranker
from penchant_daemon.errors import Conflict, NotFound
from penchant_daemon.logs import logger
from penchant_daemon.wire import Problem
from penchant_store import NewRankerModel, RankerModelRecord, Store

__all__ = ["Rankers"]

FOLDER = "ranker"
N_HISTORY = 100
KEEP_FILES = 10  # of models that are no longer active, for a rollback
#: After a rollback nothing ranks anew before so many more outcomes, or this share more: the person said no to these.
HELD_OUTCOMES, HELD_SHARE = 10, 0.2

log = logger(__name__)


class Rankers:
    """The models that rank, by project. Safe to use from several threads.

    :param home: the data directory.
    """

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._folder = home / FOLDER
        self._lock = threading.RLock()
        self._active: Mapping[str | None, tuple[RankerModelRecord, ranker.Model]] | None = None
        self._refused: dict[str, str] = {}
        self.prior: ranker.Model = ranker.LinearModel.of(ranker.CHAT)

    def of(self, project: str | None) -> ranker.Model:
        """The model that ranks what is asked about a project (by id), or about all."""
        active = self._loaded()
        found = active.get(project) or active.get(None)
        return self.prior if found is None else found[1]

    def learned(self) -> Sequence[tuple[RankerModelRecord, ranker.Model]]:
        """The learned models that are active, the one for all projects first."""
        return sorted(self._loaded().values(), key=lambda pair: pair[0].project or "")

    def history(self, limit: int = N_HISTORY) -> list[RankerModelRecord]:
        """All that was learned, latest first, with what became of it."""
        return self._store.ranker_models(limit=limit)

    def add(
        self,
        model: ranker.LinearModel | ranker.TreeModel,
        project: str | None,
        reason: str,
        trained_on: Mapping[str, object],
        *,
        is_active: bool,
    ) -> str:
        """Keeps a model; from now on it ranks, or is only recorded with the reason why it does not.

        :return: its id.
        """
        text = ranker.write_model(model)
        digest = ranker.digest(text)
        kind = "linear" if isinstance(model, ranker.LinearModel) else "trees"
        with self._lock:
            held = self.held_back(project, trained_on) if is_active else None
            if is_active and held is None:
                self._write(digest, text)
            status = "active" if is_active and held is None else "rejected"
            record = NewRankerModel(kind, project, status, held or reason, digest, dict(trained_on))
            id = self._store.add_ranker_model(record).result()
            self._reload()
        log.info("ranker_learned", id=id, kind=kind, status=status, is_for_project=project is not None)
        return id

    def held_back(self, project: str | None, trained_on: Mapping[str, object]) -> str | None:
        """Why a model that was fitted to this may not rank: the person undid one that was fitted to nearly the same.

        :return: the reason in words, or None.
        """
        latest = [r for r in self.history() if r.project == project and r.status in ("active", "rolled_back")]
        undone = max(
            (r for r in latest if r.status == "rolled_back"), key=lambda r: r.changed_at, default=None
        )
        if undone is None or any(r.status == "active" and r.changed_at > undone.changed_at for r in latest):
            return None
        before, now = _n_outcomes(undone.trained_on), _n_outcomes(trained_on)
        needed = before + max(HELD_OUTCOMES, int(HELD_SHARE * before))
        if now >= needed:
            return None
        return (
            f"{undone.id} (of {before} outcomes) was rolled back:"
            f" nothing new ranks before there are {needed}, {now} now"
        )

    def retire(self, id: str, status: str, reason: str) -> None:
        """An active model no longer ranks: it fell back, or was refused."""
        self._store.set_ranker_model_status(id, status, reason).result()
        self._reload()
        log.warning("ranker_retired", id=id, status=status)

    def roll_back(self, id: str | None, project: str | None) -> RankerModelRecord | None:
        """Undoes the active model of a project (None: that of all others).

        :param id: the earlier model that shall rank again; None takes the one before, or else the prior.
        :return: the model that ranks now; None for the prior.
        :raises NotFound: no such model, or its file is gone.
        :raises Conflict: nothing learned is active.
        """
        with self._lock:
            history = [record for record in self.history() if record.project == project]
            active = next((record for record in history if record.status == "active"), None)
            if id is None and active is None:
                raise Conflict(
                    "nothing learned is active: the prior ranks already", hint="penchant ranker history"
                )
            target = self._target(id, history, active)
            if active is not None:
                self._store.set_ranker_model_status(
                    active.id, "rolled_back", "rolled back by the person"
                ).result()
            if target is not None:
                self._store.set_ranker_model_status(
                    target.id, "active", "rolled back to by the person"
                ).result()
            self._reload()
            return target

    def problems(self) -> list[Problem]:
        """Models that were refused since the daemon started."""
        return [
            Problem(
                part="ranker",
                message=f"the learned model {id} is refused: {reason}; the prior ranks",
                fix="penchant ranker history; a new one is learned from the next outcomes",
            )
            for id, reason in self._refused.items()
        ]

    def _target(
        self, id: str | None, history: Sequence[RankerModelRecord], active: RankerModelRecord | None
    ) -> RankerModelRecord | None:
        usable = [
            record
            for record in history
            if record.status in ("replaced", "rolled_back", "fell_back")
            and self._path(record.digest).is_file()
        ]
        if id is None:
            before = [record for record in usable if active is None or record.created_at < active.created_at]
            return next((record for record in before if record.status == "replaced"), None)
        target = next((record for record in usable if record.id == id), None)
        if target is None:
            known = any(record.id == id for record in history)
            why = "was never active, or its file is gone" if known else "does not exist"
            raise NotFound(f"the model {id[:100]} {why}", field="body.id", hint="penchant ranker history")
        self._read(target)
        return target

    # ---- files

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest[:32]}.model"

    def _write(self, digest: str, text: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(digest)
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._remove_old()

    def _remove_old(self) -> None:
        kept = {self._path(record.digest).name for record in self.history(KEEP_FILES)}
        kept |= {self._path(record.digest).name for record in self._store.ranker_models("active")}
        files = sorted(self._folder.glob("*.model"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[KEEP_FILES:]:
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _read(self, record: RankerModelRecord) -> ranker.Model:
        """A recorded model from its file.

        :raises ranker.ModelError: it cannot rank.
        """
        path = self._path(record.digest)
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise ranker.ModelCorrupt(f"{path} cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise ranker.ModelCorrupt(f"{path} is not text") from error
        names = [feature.name for feature in ranker.FEATURES]
        return ranker.read_model(text, record.digest, names)

    def _loaded(self) -> Mapping[str | None, tuple[RankerModelRecord, ranker.Model]]:
        active = self._active
        return self._reload() if active is None else active

    def _reload(self) -> Mapping[str | None, tuple[RankerModelRecord, ranker.Model]]:
        with self._lock:
            active: dict[str | None, tuple[RankerModelRecord, ranker.Model]] = {}
            for record in self._store.ranker_models("active"):
                try:
                    active[record.project] = (record, self._read(record))
                except ranker.ModelError as error:
                    self._refused[record.id] = str(error)
                    log.error("ranker_refused", id=record.id, error=type(error).__name__)
                    self._store.set_ranker_model_status(record.id, "refused", str(error)).result()
            self._active = active
            return active


def _n_outcomes(trained_on: Mapping[str, object]) -> int:
    found = trained_on.get("outcomes", 0)
    return found if isinstance(found, int) else 0
