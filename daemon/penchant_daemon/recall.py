"""
Recall: from a question to ranked, explained results; the one place where records become ranker input.

    question -> words (a helper thread) | vectors of the question and of its tokens
             -> candidates of both and the turns around them -> features -> weighed sum
             -> each text once, within limit and budget -> records, impression

It reads derived columns and texts only, and waits for no write: the impression is recorded behind the answer.
"""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

import penchant_ranker as ranker
from penchant_daemon import wire
from penchant_daemon.background import Backgrounds
from penchant_daemon.errors import InvalidField, NotFound
from penchant_daemon.models import Embedder, ModelError
from penchant_daemon.rankers import Rankers
from penchant_daemon.relevances import RELEVANCE, Relevances
from penchant_store import (
    FeatureTable,
    ImpressionItem,
    IndexSnapshot,
    ItemFilter,
    MemoryRecord,
    NewImpression,
    ProjectRecord,
    Store,
    StoreError,
)

__all__ = ["Recall"]

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Best by words and best by vector that are ranked, and how many in all once the turns around them joined.
#: More find nothing more (LoCoMo dev recall@10 and NDCG@10: 40 and 150 0.834, 0.697; 40 and 200 0.836, 0.698; 60 and
#: 300 0.835, 0.696), and each costs 0.02 ms.
N_SEEDS = 40
N_CANDIDATES = 200
#: Of the asking session so many turns, the last ones, are ranked whatever they say.
N_WORKING = 12
#: Of the best candidates so many are kept with their features, shown or not, to learn from.
N_LEARNED_FROM = 30
#: A word of the query that no indexed text has is looked for inside of words, if it has so many characters.
MIN_PART_CHARS = 4
#: Of a question, so much is looked at for secrets; 4,000 characters of it are kept.
MAX_MASKED_CHARS = 20_000
#: Of an explained result's largest reasons so many say which rank it would have without them.
N_COUNTERFACTUALS = 3
#: Of texts that the indexer has not reached yet, so many may be looked at.
MAX_FRESH = 50

_NAMES = tuple(feature.name for feature in ranker.FEATURES)
#: Which feature says how near a text's own words are, by whether there are token vectors.
_NEARNESS = {True: _NAMES.index("tokens"), False: _NAMES.index("words")}

_MODEL_NAMES = re.compile(
    r"\b(?:claude|chatgpt|gpt|gemini|copilot|cursor|codex|opencode|llama|assistant)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, checked: what is asked, at which time, and among which items."""

    query: ranker.Query
    where: ItemFilter
    now: int
    n_seeds: int
    agent: int
    session: str | None
    project_id: str | None


@dataclass(frozen=True, slots=True)
class _Meant:
    """What the embedder says of the question.

    :param cosine: of every item to it, (n + 1,).
    :param tokens: its own tokens.
    """

    cosine: Floats
    tokens: ranker.QueryTokens


@dataclass(frozen=True, slots=True)
class _Found:
    """Candidates by words, best first, and what of the query was looked for to the letter."""

    items: Ints
    literal: tuple[str, ...]


class Recall:
    """
    Answers recall requests. Safe to call from several threads at once.

    :param store: where the items are.
    :param embedder: turns the question into a vector; None ranks by words and says so. May be set later.
    :param clock: seconds since 1970, UTC; "last week" counts from it.
    :param without_secrets: takes keys and passwords out of a question before it is kept.
    :param rankers: what was learned; None ranks by the prior.
    :param relevances: says how relevant results are; None by what ships.
    :param min_relevance: where the request names none, nothing is returned of an answer that is less probable.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None = None,
        clock: Callable[[], float] = time.time,
        without_secrets: Callable[[str], str] = str,
        rankers: Rankers | None = None,
        relevances: Relevances | None = None,
        min_relevance: float = 0.0,
    ) -> None:
        self.embedder = embedder
        self._store = store
        self._clock = clock
        self._without_secrets = without_secrets
        self._rankers = rankers
        self._relevances = relevances or Relevances(None)
        self._min_relevance = min_relevance
        self._backgrounds = Backgrounds(store)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="recall-words")
        self._people = _People((), ranker.SpeakerNames(()), np.zeros(1, dtype=np.bool_))

    def outcomes_changed(self) -> None:
        """Outcomes were recorded: what helped and what was wrong ranks by them from now on."""
        self._backgrounds.outcomes_changed()

    def close(self) -> None:
        """End the helper threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def recall(self, request: wire.RecallRequest, agent: str) -> wire.RecallResponse:
        """
        What the store knows about a question, best first; asking twice gives the same answer.

        :param agent: the calling agent; only its own private memories are seen.
        :raises InvalidField: the query holds no text, or `as_of` is no time.
        :raises NotFound: no such project; the hint names similar ones.
        """
        started = time.perf_counter()
        snapshot = self._store.index.snapshot()
        self._people = people = self._people.grown(snapshot)
        asked = self._understand(request, agent, snapshot, people)
        warnings = []
        if asked.query.is_cut:
            warnings.append(
                f"the query has {len(request.query)} characters: ranked by the first {ranker.MAX_QUERY_CHARS}"
            )
        visible = self._visible(snapshot, asked)
        if self.embedder is None:
            found = self._by_words(asked, snapshot, visible)
            meant = self._meant(snapshot, asked.query, warnings)
        else:
            by_words = self._threads.submit(self._by_words, asked, snapshot, visible)
            meant = self._meant(snapshot, asked.query, warnings)
            found = by_words.result()
        pool = self._pool(snapshot, visible, people, asked, found, meant)
        learned = None if self._rankers is None else self._rankers.of(asked.project_id)
        ranking = ranker.rank(asked.query, pool, learned=learned)
        relevance, shipped = self._relevance(asked.query, pool, ranking)
        least, least_each = request.min_relevance, request.min_relevance
        if least is None:
            least = self._min_relevance
            # Small words alone ("before") name nothing that could be missing in a text; and of scripts without
            # spaces relevance, which was calibrated on words, knows too little to refuse.
            if not asked.query.stems or asked.query.unspaced:
                least = least_each = 0.0
        ranked = _Ranked(
            snapshot,
            ranking,
            relevance,
            shipped,
            items=pool.items[ranking.rows],
            is_worth=ranker.worth_showing(relevance, least, least_each),
            nearness=ranking.values[:, _NEARNESS[pool.has_tokens]],
        )
        shown = self._select(request, asked, ranked)
        n_held = int((~ranked.is_worth[: request.limit]).sum())
        if n_held and not shown:
            warnings.append(_held_back(n_held, relevance.answer))
        return wire.RecallResponse(
            impression_id=self._impress(request, agent, asked.project_id, ranked, shown),
            results=[
                self._result(request, asked, ranked, place, record, also) for place, record, also in shown
            ],
            relevance=round(relevance.answer, 4),
            held_back=n_held,
            warnings=warnings,
            took_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    # ---- the question

    def _understand(
        self, request: wire.RecallRequest, agent: str, snapshot: IndexSnapshot, people: _People
    ) -> _Question:
        as_of = None if request.as_of is None else _as_of(request.as_of)
        now = int(self._clock()) if as_of is None else as_of
        query = ranker.parse_query(request.query, names=people.names, now=now)
        if not query.words and not query.fragments:
            raise InvalidField(
                "query holds no letter or digit to look for",
                field="body.query",
                hint="ask with at least one word",
            )
        project = self._project(request.project)
        where = ItemFilter(
            project=None if project is None else project.key,
            agent=snapshot.agents.number(agent),
            as_of=as_of,
            # What was superseded since was still current then.
            statuses=("active",) if as_of is None else ("active", "superseded"),
        )
        return _Question(
            query=query,
            where=where,
            now=now,
            n_seeds=max(N_SEEDS, request.limit),
            agent=snapshot.agents.number(agent),
            session=request.session,
            project_id=None if project is None else project.id,
        )

    def _project(self, name: str | None) -> ProjectRecord | None:
        if name is None:
            return None
        project = self._store.project_named(name)
        if project is not None:
            return project
        known = self._store.projects()
        near = difflib.get_close_matches(name, list(dict.fromkeys(p.name for p in known)), n=3, cutoff=0.5)
        near = near or difflib.get_close_matches(name, [p.path for p in known if p.path], n=3, cutoff=0.5)
        raise NotFound(
            f"no project is called {name[:200]!r}",
            field="body.project",
            hint=f"did you mean {', '.join(near)}?" if near else "leave it out to search in all projects",
        )

    def _visible(self, snapshot: IndexSnapshot, asked: _Question) -> Bools:
        """Which items may be returned: (n + 1,), row 0 never."""
        visible = np.asarray(self._store.index.mask(snapshot, asked.where), dtype=np.bool_).copy()
        ended = (snapshot.valid_to > 0) & (snapshot.valid_to <= asked.now)
        visible &= ~ended[: len(visible)]
        visible[0] = False
        return visible

    # ---- candidates

    def _by_words(self, asked: _Question, snapshot: IndexSnapshot, visible: Bools) -> _Found:
        """Candidates by full text, by fragments and by character pairs; runs beside the embedding."""
        query, store, n = asked.query, self._store, asked.n_seeds
        words = query.words
        also = dict.fromkeys(w for alias in query.aliases for w in alias.words if w not in words)
        found = [store.candidates_by_words((*words, *also), n, visible, snapshot).items] if words else []
        if query.name_words and query.words != query.name_words:
            # Turns say who speaks; a memory names the person in its text.
            is_memory = visible & (snapshot.role[: len(visible)] == 0)
            named = (*words, *query.name_words)
            found.append(store.candidates_by_words(named, n // 2, is_memory, snapshot).items)
        literal = (*query.fragments, *_unknown_words(query, snapshot))
        if literal:
            found.insert(0, store.candidates_by_trigrams(literal, n, visible, snapshot).items)
        parts = [run[i : i + 3] for run in query.unspaced for i in range(len(run) - 2)][:32]
        if parts:
            found.append(store.candidates_by_trigrams(parts, n, visible, snapshot).items)
        if query.unspaced:
            found.append(_by_stems(query, snapshot, n * 2))
        return _Found(_in_turn(found), literal)

    def _meant(self, snapshot: IndexSnapshot, query: ranker.Query, warnings: list[str]) -> _Meant | None:
        """The question embedded and compared; None without an embedder or vectors of its model."""
        if self.embedder is None:
            warnings.append("ranked by words alone: no embedding model is set up")
            return None
        try:
            encoded = self.embedder.encode_question(query.text)
            cosine = snapshot.cosines(encoded.pooled)
        except (ModelError, StoreError) as error:
            # No model, or vectors of another one: words still find most of it, and the person is told.
            warnings.append(f"ranked by words alone: {error}")
            return None
        if snapshot.n and not cosine.any():
            warnings.append("ranked by words alone: no vectors yet, they follow in the background")
            return None
        return _Meant(cosine, encoded.tokens)

    def _pool(
        self,
        snapshot: IndexSnapshot,
        visible: Bools,
        people: _People,
        asked: _Question,
        found: _Found,
        meant: _Meant | None,
    ) -> ranker.Pool:
        """The candidates, the turns around them, and their columns, as the ranker takes them."""
        cosine = None if meant is None else meant.cosine
        limit = max(N_CANDIDATES, 2 * asked.n_seeds)
        candidates = self._candidates(snapshot, visible, found, cosine, asked, limit)
        around = snapshot.neighbours(candidates, 2)
        around = np.where(visible[around], around, 0)
        items = np.unique(around)
        items = items[items > 0]
        rows = np.where(around > 0, np.searchsorted(items, around), -1)
        stems, offsets, cues = self._texts_as_stems(snapshot, items)
        speaker = snapshot.speaker[items]
        is_person = people.is_person[speaker]
        is_episode = snapshot.role[items] != 0
        lengths = np.diff(offsets)
        return ranker.Pool(
            items=items,
            candidates=rows[:, 2].copy(),
            around=rows,
            session=snapshot.session[items],
            speaker=speaker,
            is_person=is_person,
            role=snapshot.role[items],
            is_kept=~is_episode & ~(is_person & (snapshot.session[items] > 0)),
            occurred_at=snapshot.occurred_at[items],
            n_chars=snapshot.n_chars[items],
            cues=cues,
            cosine=self._own_cosine(snapshot, items, cosine),
            exact=self._exact(items, found),
            stems=stems,
            offsets=offsets,
            document_frequency=_frequency(asked.query, snapshot),
            n_documents=max(snapshot.n_stemmed, 1),
            mean_length=snapshot.mean_length or float(lengths.mean() if len(lengths) else 1.0),
            query_tokens=None if meant is None else meant.tokens,
            tokens=None if meant is None else ranker.TokenVectors(*snapshot.tokens(items)),
            background=self._backgrounds.of(
                snapshot,
                around[:, 2],
                project=asked.where.project,
                session=asked.session,
                agent=asked.agent,
                now=asked.now,
            ),
        )

    def _candidates(
        self,
        snapshot: IndexSnapshot,
        visible: Bools,
        found: _Found,
        cosine: Floats | None,
        asked: _Question,
        limit: int,
    ) -> Ints:
        """What is ranked: the best by words and by vector, what the asking session said last, then the turns next to
        the best, then one further."""
        n_seeds = asked.n_seeds
        by_words = found.items
        lists = [by_words[visible[by_words]]]
        if cosine is not None:
            seen = np.where(visible, cosine, np.float32(-2.0))
            top = np.argpartition(seen, -n_seeds)[-n_seeds:] if n_seeds < len(seen) else np.arange(len(seen))
            top = top[seen[top] > -2.0]
            lists.append(top[np.lexsort((top, -seen[top]))])
        seeds = _in_turn(lists)
        around = snapshot.neighbours(seeds, 2)
        session = snapshot.sessions.number(asked.session) if asked.session else 0
        working = np.flatnonzero(snapshot.session == session)[-N_WORKING:] if session else seeds[:0]
        wider = np.concatenate((seeds, working, around[:, 3], around[:, 1], around[:, 4], around[:, 0]))
        wider = wider[visible[wider]]
        _, first = np.unique(wider, return_index=True)
        return np.sort(wider[np.sort(first)[:limit]])

    def _texts_as_stems(
        self, snapshot: IndexSnapshot, items: Ints
    ) -> tuple[NDArray[np.uint32], Ints, NDArray[np.uint32]]:
        """Stems, their offsets and cues; computed here for items that the indexer has not reached."""
        stems, offsets = snapshot.stems(items)
        cues = snapshot.cues(items)
        missing = np.flatnonzero(~snapshot.has_stems(items) | (cues == 0))
        if not len(missing):
            return stems, offsets, cues
        pieces = [stems[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        cues = cues.copy()
        for row, text in zip(missing, self._store.texts(items[missing]), strict=True):
            pieces[row] = ranker.stem_hashes(text)
            cues[row] = int(ranker.cues(text))
        offsets = np.concatenate(([0], np.cumsum([len(p) for p in pieces]))).astype(np.int64)
        return np.concatenate(pieces), offsets, cues

    def _own_cosine(self, snapshot: IndexSnapshot, items: Ints, cosine: Floats | None) -> Floats:
        if cosine is None:
            return np.zeros(len(items), dtype=np.float32)
        return np.where(snapshot.has_vectors(items), cosine[items], np.float32(np.nan)).astype(np.float32)

    def _exact(self, items: Ints, found: _Found) -> Floats:
        """Share of what was looked for to the letter that each text holds; reads what words found."""
        share = np.zeros(len(items), dtype=np.float32)
        if not found.literal:
            return share
        rows = np.flatnonzero(np.isin(items, found.items))
        wanted = [f.lower() for f in found.literal]
        for row, text in zip(rows, self._store.texts(items[rows]), strict=True):
            low = text.lower()
            share[row] = sum(f in low for f in wanted) / len(wanted)
        return share

    # ---- the answer

    def _relevance(
        self, query: ranker.Query, pool: ranker.Pool, ranking: ranker.Ranking
    ) -> tuple[ranker.Relevance, ranker.Relevance]:
        """How probable it is that each result, and any, answers the question; and the same as it ships."""
        evidence = ranker.evidence(query, pool, ranking)
        relevance = self._relevances.model.of(evidence)
        return relevance, self._relevances.by_shipped(evidence, relevance)

    def _select(
        self, request: wire.RecallRequest, asked: _Question, ranked: _Ranked
    ) -> list[tuple[int, MemoryRecord, Sequence[MemoryRecord]]]:
        """The results to show with their places in the ranking and what says the same: within limit and budget.

        What updates another stands above it, and what says the same is shown once.
        """
        own = self._store.digest(request.query) if request.session else None
        n = request.limit + 10
        worth = np.flatnonzero(ranked.is_worth)
        while True:
            read = worth[:n]
            at = {r.item: r for r in self._store.records(ranked.items[read])}
            # Forgotten a moment ago: no record. The question itself, logged by its own session: no answer.
            places = [
                place
                for place in read.tolist()
                if (r := at.get(int(ranked.items[place]))) is not None
                and not (r.digest == own and r.session == request.session)
            ]
            places, same_as = self._in_order(asked.query, ranked, places, at)
            records = [at[int(ranked.items[place])] for place in places]
            firsts = [i for i in range(len(places)) if same_as[i] == i]
            chosen = ranker.select(
                [records[i].id for i in firsts],
                [ranker.estimated_tokens(records[i].content) for i in firsts],
                request.limit,
                request.budget_tokens,
            )
            if len(chosen) == request.limit or n >= len(worth):
                merged: dict[int, list[MemoryRecord]] = {i: [] for i in firsts}
                for j, i in enumerate(same_as):
                    if i != j:
                        merged[i].append(records[j])
                return [(places[i], records[i], merged[i]) for i in (firsts[c] for c in chosen)]
            n *= 2

    def _in_order(
        self,
        query: ranker.Query,
        ranked: _Ranked,
        places: list[int],
        at: Mapping[int, MemoryRecord],
    ) -> tuple[list[int], list[int]]:
        """Places as they are shown, and for each which of them says the same."""
        items = ranked.items[places]
        statements = [
            ranker.Statement(
                (r := at[int(item)]).content,
                (r.speaker or r.role) if r.is_event else None,
                int(ranked.snapshot.occurred_at[item]),
                int(item),
                r.superseded_by is None,
                None if r.is_event else r.kind,
            )
            for item in items
        ]
        vectors = ranked.snapshot.pooled(items)
        order = ranker.refreshed(
            query,
            statements,
            vectors,
            ranked.nearness[places],
            ranked.ranking.scores[places],
        )
        order = _current_first(order, [at[int(item)] for item in items])
        same_as = ranker.merged([statements[i] for i in order], vectors[order])
        return [places[i] for i in order], same_as

    def _impress(
        self,
        request: wire.RecallRequest,
        agent: str,
        project_id: str | None,
        ranked: _Ranked,
        shown: Sequence[tuple[int, MemoryRecord, Sequence[MemoryRecord]]],
    ) -> str:
        """Record what was shown and the best of what was not, with their features: what ranking learns from."""
        ranking = ranked.ranking
        places = [place for place, _, _ in shown]
        passed = [place for place in range(min(len(ranked.items), N_LEARNED_FROM)) if place not in places]
        others = dict(zip(passed, self._store.ids(ranked.items[passed]), strict=True))
        passed = [place for place in passed if others[place]]  # the others were erased a moment ago
        ids = [*(record.id for _, record, _ in shown), *(others[place] for place in passed)]
        kept = np.array([*places, *passed], dtype=np.int64)
        relevance = ranked.shipped.results[kept]
        values = np.column_stack((ranking.scaled[kept], relevance)).astype(np.float32).round(4)
        items = tuple(
            ImpressionItem(id, i, score, is_shown=i <= len(shown), propensity=chance)
            for i, (id, score, chance) in enumerate(
                zip(
                    ids,
                    ranking.scores[kept].tolist(),
                    ranker.propensity(np.arange(1, len(kept) + 1)).tolist(),
                    strict=True,
                ),
                1,
            )
        )
        impression_id, written = self._store.add_impression(
            NewImpression(
                # Cut behind the masking, or half a key could stand at the end.
                query=self._without_secrets(ranker.clean(request.query[:MAX_MASKED_CHARS]))[
                    : ranker.MAX_QUERY_CHARS
                ],
                agent=agent,
                session=request.session,
                project=project_id,
                as_of=request.as_of,
                items=items,
                model=ranking.model,
                features=FeatureTable((*_NAMES, RELEVANCE), values),
            )
        )
        written.add_done_callback(_say_if_lost)
        return impression_id

    def _result(
        self,
        request: wire.RecallRequest,
        asked: _Question,
        ranked: _Ranked,
        place: int,
        record: MemoryRecord,
        also: Sequence[MemoryRecord],
    ) -> wire.RecallResult:
        ranking, relevance = ranked.ranking, ranked.relevance
        reasons, against = None, None
        if request.explain:
            good, bad = self._backgrounds.counts(record.item)
            shown = ranker.Shown(
                record.content,
                record.speaker,
                record.kind,
                _seconds(record.occurred_at),
                is_alone=record.session is None,
                now=asked.now,
                n_helped=good,
                n_wrong=bad,
            )
            reasons = _reasons(asked.query, ranked, place, shown)
            sure = float(relevance.results[place])
            against = list(ranker.against(asked.query, ranking.values[place], sure, shown))
        return wire.RecallResult(
            id=record.id,
            content=record.content,
            score=round(float(ranking.scores[place]), 4),
            created_at=record.created_at,
            occurred_at=record.occurred_at,
            kind=record.kind,
            speaker=record.speaker,
            role=record.role,
            session=record.session,
            session_title=record.session_title,
            project=record.project,
            agent=record.agent,
            origin=record.origin,
            source="episode" if record.is_event else "memory",
            relevance=round(float(relevance.results[place]), 4),
            also=[
                wire.SameSaid(
                    id=same.id,
                    agent=same.agent,
                    project=same.project,
                    session=same.session,
                    occurred_at=same.occurred_at,
                )
                for same in also
            ],
            reasons=reasons,
            against=against,
        )


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A ranking on its way to be shown.

    :param relevance: of its places, and `shipped`: before this install's outcomes moved it.
    :param items: (k,) best first, and `is_worth` which of them may be shown.
    :param nearness: (k,) of each one's words to the question's.
    """

    snapshot: IndexSnapshot
    ranking: ranker.Ranking
    relevance: ranker.Relevance
    shipped: ranker.Relevance
    items: Ints
    is_worth: Bools
    nearness: Floats


@dataclass(frozen=True, slots=True)
class _People:
    """The store's speakers: who can be named in a question, and which speaker numbers are people."""

    texts: tuple[str, ...]
    names: ranker.SpeakerNames
    is_person: Bools  # by speaker number; 0 is none

    def grown(self, snapshot: IndexSnapshot) -> _People:
        """The same, or with the speakers that were new since."""
        n = int(snapshot.speaker.max(initial=0))
        if n < len(self.is_person) and self.texts:
            return self
        texts = tuple(snapshot.speakers.text(i) or "" for i in range(1, n + 1))
        is_person = [False] + [
            bool(t)
            and t.strip().lower() not in ranker.ROLE_SPEAKERS
            and not _MODEL_NAMES.search(t)
            and not snapshot.agents.number(t)
            for t in texts
        ]
        named = [t if known else "" for t, known in zip(("", *texts), is_person, strict=True)]
        return _People(texts, ranker.SpeakerNames(named), np.array(is_person, dtype=np.bool_))


def _frequency(query: ranker.Query, snapshot: IndexSnapshot) -> Ints:
    """In how many texts each term stands, as itself or as its alias."""
    own = snapshot.document_frequency(query.hashes)
    if not query.aliases:
        return own
    hashes = np.array([h for alias in query.aliases for h in alias.hashes], dtype=np.uint32)
    return ranker.union_frequency(query, own, snapshot.document_frequency(hashes))


def _unknown_words(query: ranker.Query, snapshot: IndexSnapshot) -> tuple[str, ...]:
    """Words that stand in no indexed text by themselves: parts of compounds, or of texts not indexed yet."""
    plain = [w for w in query.words if len(w) >= MIN_PART_CHARS and not query.unspaced]
    hashes = np.array([ranker.stem_hash(ranker.stem(w)) for w in plain], dtype=np.uint32)
    unknown = snapshot.document_frequency(hashes) == 0
    return tuple(w for w, is_unknown in zip(plain, unknown.tolist(), strict=True) if is_unknown)[:8]


def _by_stems(query: ranker.Query, snapshot: IndexSnapshot, limit: int) -> Ints:
    """Items that share the most (and rarest) character pairs with the query, for scripts without spaces.

    FTS5 takes a whole run of such a script for one word. Of items whose pairs are not known yet, the
    newest come too.
    """
    every = np.arange(1, snapshot.n + 1, dtype=np.int64)
    data, offsets = snapshot.stems(every)
    rarity = 1.0 / (1.0 + snapshot.document_frequency(query.hashes))
    score = np.zeros(len(every), dtype=np.float64)
    for h, weight in zip(query.hashes, rarity, strict=True):
        rows = np.unique(np.searchsorted(offsets, np.flatnonzero(data == h), side="right") - 1)
        score[rows] += weight
    best = np.flatnonzero(score)
    fresh = every[~snapshot.has_stems(every)][-MAX_FRESH:]
    return np.concatenate((every[best[np.lexsort((-best, -score[best]))][:limit]], fresh))


def _in_turn(lists: Sequence[Ints]) -> Ints:
    """The members of several lists, each list's first, then each one's second, and so on; each once."""
    lists = [x for x in lists if len(x)]
    if not lists:
        return np.zeros(0, dtype=np.int64)
    rank = np.concatenate([np.arange(len(x)) for x in lists])
    members = np.concatenate(lists)[np.argsort(rank, kind="stable")].astype(np.int64)
    _, first = np.unique(members, return_index=True)
    return members[np.sort(first)]


def _as_of(text: str) -> int:
    """The second up to which `as_of` looks; a day without a time counts to its end."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return int((day + timedelta(days=1)).timestamp()) - 1
        return _seconds(text)
    except (ValueError, OverflowError) as error:
        raise InvalidField(
            f"as_of is no date or time: {text[:100]!r}",
            field="body.as_of",
            hint="write a day (2026-11-23) or a time (2026-11-23T10:00:00Z)",
        ) from error


def _seconds(text: str) -> int:
    t = datetime.fromisoformat(text)
    return int((t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp())


def _reasons(query: ranker.Query, ranked: _Ranked, place: int, shown: ranker.Shown) -> list[wire.Reason]:
    """What was added to a score, largest first; of the three largest, which rank would be without it."""
    ranking = ranked.ranking
    named = ranker.explain(query, ranking.values[place], ranking.added([place])[0], shown)
    rank = 1 + int(ranked.is_worth[:place].sum())
    largest = [each.feature for each in named[:N_COUNTERFACTUALS]]
    without = dict(zip(largest, ranking.ranks_without(place, largest, ranked.is_worth), strict=True))
    reasons = [
        wire.Reason(
            feature=each.feature,
            value=each.value,
            contribution=each.added,
            text=each.text,
            rank_without=other if (other := without.get(each.feature, rank)) != rank else None,
        )
        for each in named
    ]
    score = round(float(ranking.scores[place]), 4)
    left = round(score - sum(reason.contribution for reason in reasons), 4)
    if left:
        reasons.append(wire.Reason(feature="other", value=0.0, contribution=left, text="all else together"))
    return reasons


def _current_first(order: list[int], records: Sequence[MemoryRecord]) -> list[int]:
    """The order with what superseded another directly above it, where both are there."""
    place_of = {record.id: i for i, record in enumerate(records)}
    order = list(order)
    for old in list(order):
        new = place_of.get(records[old].superseded_by or "")
        if new is not None and order.index(new) > order.index(old):
            order.remove(new)
            order.insert(order.index(old), new)
    return order


def _held_back(n_held: int, answer: float) -> str:
    what = "1 result is" if n_held == 1 else f"{n_held} results are"
    return f"{wire.HELD_BACK} (best match {answer:.0%}): {what} held back, min_relevance 0 returns all"


def _say_if_lost(written: object) -> None:
    error = getattr(written, "exception", lambda: None)()
    if error is not None:
        logger.warning("an impression could not be recorded: %s", error)
