"""The features of a candidate: a table of what each means, and one function that computes them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import bm25
from .background import KINDS, Background
from .cues import Cue
from .late import QueryTokens, TokenVectors, estimated, nearness, terms_of, token_weights
from .query import Query
from .when import match_ranges
from .window import Groups, answering, group_best, windowed

ROLE_USER, ROLE_ASSISTANT, ROLE_OTHER, ROLE_NONE = 1, 2, 3, 0


@dataclass(frozen=True, slots=True)
class Feature:
    """One line of the feature table.

    :param unit: "bm25" and "cosine" are divided by the best candidate's value before they are weighed;
        "flag" is 0 to 1 with 0.5 for "says nothing" and is weighed as it is.
    :param source: what it is computed from.
    """

    name: str
    unit: Literal["bm25", "cosine", "flag"]
    meaning: str
    source: str


FEATURES: tuple[Feature, ...] = (
    Feature(
        "tokens_window",
        "cosine",
        "nearness of the query's words to the words of the turn, its neighbours and its session, at a discount",
        "token vectors",
    ),
    Feature(
        "tokens_answer",
        "cosine",
        "nearness of the query's words to those of the turn or of the question just before it",
        "token vectors",
    ),
    Feature("tokens", "cosine", "nearness of the query's words to those of the text itself", "token vectors"),
    Feature(
        "words_window",
        "bm25",
        "query words in the turn, its neighbours and its session, at a discount",
        "stems",
    ),
    Feature("words_answer", "bm25", "query words in the turn or in the question just before it", "stems"),
    Feature("words", "bm25", "query words in the text itself", "stems"),
    Feature("meaning", "cosine", "nearness in meaning of the text to the query", "vectors"),
    Feature(
        "meaning_near",
        "cosine",
        "nearness in meaning of the best of the two turns before and after",
        "vectors",
    ),
    Feature(
        "meaning_session", "cosine", "nearness in meaning of the best candidate of the session", "vectors"
    ),
    Feature("speaker", "flag", "said by the one whom the query names", "speaker, role"),
    Feature("speaker_first_person", "flag", "the one named speaks of themselves", "speaker, cues"),
    Feature("date", "flag", "from the time that the query names", "occurred_at"),
    Feature("when_time", "flag", "holds a time, and the query asks for one", "cues"),
    Feature("length", "flag", "longer than what others of the same role said", "n_chars"),
    Feature(
        "names_thing", "flag", "holds a name, and the query asks for one (not of an assistant's chat)", "cues"
    ),
    Feature("statement", "flag", "states rather than asks (between people)", "cues"),
    Feature("after_question", "flag", "follows a question (between people)", "cues of the turn before"),
    Feature("role_user", "flag", "said by the person rather than by the assistant", "role"),
    Feature("exact", "flag", "holds an identifier, path or quote of the query to the letter", "trigrams"),
    Feature("kept", "flag", "was kept on purpose, as a memory", "kind"),
    Feature(
        "coverage", "flag", "share of the query's words (by rarity) in the turn and those next to it", "stems"
    ),
    Feature("helped", "flag", "helped, or was used, when it was recalled before", "outcomes"),
    Feature("same_project", "flag", "of the project that is asked about", "project"),
    Feature("same_session", "flag", "said in the session that asks", "session"),
    Feature("same_agent", "flag", "written by the agent that asks", "agent"),
    Feature("recent", "flag", "how recent it is; half as much after 30 days", "occurred_at"),
    Feature("importance", "flag", "as important as whoever kept it said", "importance"),
    Feature("decision", "flag", "kept as a decision", "kind"),
    Feature("procedure", "flag", "kept as a procedure", "kind"),
    Feature("fact", "flag", "kept as a fact", "kind"),
    Feature("note", "flag", "kept as a note", "kind"),
)
NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)
IS_SCALED: NDArray[np.bool_] = np.array([f.unit != "flag" for f in FEATURES])
_COLUMN = {name: i for i, name in enumerate(NAMES)}
#: A word's alias counts so much of the word itself.
ALIAS_WEIGHT = 0.9
_Values: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates and the turns around them, one row each; every array is aligned with `items`.

    :param items: (n,) int64 ids, distinct; ties are broken by them.
    :param candidates: (k,) rows that are to be ranked.
    :param around: (k, 5) rows of the turns -2 to +2 of each candidate, -1 where there is none; column 2 is
        the candidate.
    :param session: (n,) numbers of sessions, 0 for none.
    :param speaker: (n,) numbers of speakers, 0 for none.
    :param is_person: (n,) whether the speaker is a named person rather than a role.
    :param role: (n,) 1 user, 2 assistant, 3 other, 0 none.
    :param is_kept: (n,) whether it is a memory rather than an episode.
    :param occurred_at: (n,) seconds since 1970, UTC, 0 unknown.
    :param n_chars: (n,) length of the text.
    :param cues: (n,) flags of `Cue`.
    :param cosine: (n,) to the query, NaN where an item has no vector (yet).
    :param exact: (n,) share of the query's literal fragments found in the text, 0 to 1.
    :param stems: all rows' stem hashes one after another.
    :param offsets: (n + 1,) where each row starts in `stems`.
    :param document_frequency: (n_terms,) of the query's hashes in the whole store.
    :param n_documents: how many documents that counts.
    :param mean_length: of those documents, in stems.
    :param query_tokens: None without an embedder.
    :param tokens: of all rows; None where there are no token vectors at all.
    :param background: of the candidates; None when nothing is known but their texts.
    """

    items: NDArray[np.int64]
    candidates: NDArray[np.int64]
    around: NDArray[np.int64]
    session: NDArray[np.int32]
    speaker: NDArray[np.int32]
    is_person: NDArray[np.bool_]
    role: NDArray[np.int8]
    is_kept: NDArray[np.bool_]
    occurred_at: NDArray[np.int64]
    n_chars: NDArray[np.int32]
    cues: NDArray[np.uint32]
    cosine: NDArray[np.float32]
    exact: NDArray[np.float32]
    stems: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    document_frequency: NDArray[np.int64]
    n_documents: int
    mean_length: float
    query_tokens: QueryTokens | None = None
    tokens: TokenVectors | None = None
    background: Background | None = None

    @property
    def has_tokens(self) -> bool:
        """Whether anything of it can be ranked by token vectors."""
        return (
            self.query_tokens is not None
            and self.tokens is not None
            and len(self.query_tokens.bits) > 0
            and len(self.tokens.bits) > 0
        )


def features(query: Query, pool: Pool) -> NDArray[np.float32]:
    """The table's values for every candidate, raw (not yet divided by the best): (k, len(FEATURES)) float32.

    An empty pool gives an empty array.
    """
    c = pool.candidates
    out = np.zeros((len(c), len(FEATURES)), dtype=np.float32)
    if not len(c):
        return out

    def put(name: str, values: NDArray[np.float32] | NDArray[np.bool_]) -> None:
        out[:, _COLUMN[name]] = values

    before = pool.around[:, 1]
    asks = (pool.cues & Cue.ASKS) != 0
    asked_before = (before >= 0) & asks[before] & (pool.session[c] != 0)
    parts = _word_parts(query, pool)
    own_words = parts.sum(axis=1)
    groups = Groups.of(np.where(pool.session > 0, pool.session, -1).astype(np.int64))
    if pool.has_tokens:
        near = _token_parts(query, pool, parts)
        put("tokens_window", windowed(near, pool.around, group_best(near[:-1], groups)[c]))
        put("tokens_answer", answering(near, pool.around, asked_before))
        put("tokens", near[c].sum(axis=1))
    put("words_window", windowed(parts, pool.around, group_best(parts[:-1], groups)[c]))
    put("words_answer", answering(parts, pool.around, asked_before))
    put("words", own_words[c])
    cosine = _cosine(pool, own_words)
    alone = pool.session[c] == 0
    put("meaning", cosine[c])
    near = cosine[pool.around[:, (0, 1, 3, 4)]].max(axis=1)
    put("meaning_near", np.where(alone, cosine[c], near))  # what stands alone is its own neighbour
    put("meaning_session", group_best(cosine[:-1, None], groups)[c, 0])
    speaker = _speaker(query, pool)
    first_person = (pool.cues[c] & Cue.FIRST_PERSON) != 0
    put("speaker", speaker)
    put("speaker_first_person", np.where(speaker == 0.5, 0.5, speaker * first_person))
    put("date", match_ranges(query.ranges, pool.occurred_at[c]))
    put("when_time", ((pool.cues[c] & Cue.TIME) != 0) & query.asks_when)
    put("length", _length(pool)[c])
    is_person, is_kept = pool.is_person[c], pool.is_kept[c]
    names = ((pool.cues[c] & Cue.NAMES) != 0) & query.asks_thing
    put("names_thing", names & (is_person | is_kept))  # nearly every long answer of an assistant holds a name
    put("statement", np.where(is_person | is_kept, ~asks[c], False))
    put("after_question", asked_before & is_person)
    if query.is_about_you or query.asks_summary:
        # What the assistant said is asked for, alone or with the rest.
        put("role_user", np.full(len(c), 0.5, dtype=np.float32))
    else:
        by_role = np.array([0.5, 1.0, 0.0, 0.5], dtype=np.float32)[pool.role[c]]
        put("role_user", np.where(is_person | is_kept, np.float32(0.5), by_role))
    put("exact", pool.exact[c])
    put("kept", is_kept)
    put("coverage", _coverage(parts, pool))
    background = pool.background
    for name in ("helped", "same_project", "same_session", "same_agent", "recent", "importance"):
        put(name, np.full(len(c), 0.5, dtype=np.float32) if background is None else getattr(background, name))
    for name, number in KINDS.items():
        put(name, np.zeros(len(c), dtype=np.bool_) if background is None else background.kind == number)
    return out


def _coverage(parts: _Values, pool: Pool) -> _Values:
    """The share of the query's words, by idf, that each candidate and the turns next to it hold; 0 without words."""
    weights = bm25.idf(pool.document_frequency, pool.n_documents)
    total = float(weights.sum())
    if total <= 0.0:
        return np.zeros(len(pool.candidates), dtype=np.float32)
    held = (parts[pool.around[:, 1:4]] > 0.0).any(axis=1)
    # A sum and no product of matrices: that warned of invalid values on some processors where there were none.
    return np.asarray((held * (weights / total)).sum(axis=1), dtype=np.float32)


def _word_parts(query: Query, pool: Pool) -> _Values:
    """Each term's BM25 in each row; one more row of zeros stands for "no such turn"."""
    n = len(pool.items)
    parts = np.zeros((n + 1, len(query.hashes)), dtype=np.float32)
    weights = bm25.idf(pool.document_frequency, pool.n_documents)
    parts[:n] = bm25.contributions(pool.stems, pool.offsets, query.hashes, weights, pool.mean_length)
    for alias in query.aliases:
        own = np.array(alias.hashes, dtype=np.uint32)
        of_terms = np.full(len(own), float(weights[list(alias.terms)].mean()), dtype=np.float32)
        said = bm25.contributions(pool.stems, pool.offsets, own, of_terms, pool.mean_length)
        whole = np.where((said > 0.0).all(axis=1), said.mean(axis=1), 0.0) * ALIAS_WEIGHT
        for term in alias.terms:
            parts[:n, term] = np.maximum(parts[:n, term], whole)
    if query.is_name.any():
        # A name in a person's turn mostly calls the other one; who speaks says more.
        parts[np.ix_(np.append(pool.is_person, False), query.is_name)] = 0.0
    return parts


def _token_parts(query: Query, pool: Pool, word_parts: _Values) -> _Values:
    """How near each row comes to each token of the query, times the token's weight; with a row of zeros at the end."""
    tokens, vectors = pool.query_tokens, pool.tokens
    assert tokens is not None and vectors is not None  # noqa: S101 - only called when there are some
    terms = terms_of(tokens, query.stems)
    weights = token_weights(tokens, terms, bm25.idf(pool.document_frequency, pool.n_documents))
    used = np.flatnonzero(weights)
    near = nearness(tokens.bits[used], vectors)
    for alias in query.aliases:
        # "k8s" and "Kubernetes" are one word, which their vectors do not know.
        is_term = terms[used][:, list(alias.terms)].any(axis=1)
        says = (word_parts[:-1, list(alias.terms)] > 0.0).all(axis=1)
        near[np.ix_(says, is_term)] = np.maximum(near[np.ix_(says, is_term)], np.float32(ALIAS_WEIGHT))
    is_known = ~np.isnan(pool.cosine)  # tokens come with the vector
    if not is_known.all():
        near = estimated(near, (word_parts[:-1] > 0) @ terms[used].T, is_known)
    parts = np.zeros((len(near) + 1, len(used)), dtype=np.float32)
    np.multiply(near, weights[used], out=parts[:-1])
    return parts


def _cosine(pool: Pool, own_words: _Values) -> _Values:
    """Each row's cosine, none negative, and a zero for "no such turn".

    A row without a vector (written a moment ago) is taken to be as near as its words are good, or it could
    not be found beside rows that have one.
    """
    cosine = np.append(pool.cosine, np.float32(0.0))
    missing = np.isnan(cosine)
    if missing.any():
        best_words = float(own_words.max())
        known = cosine[~missing]
        cosine[missing] = own_words[missing] / (best_words or 1.0) * float(known.max())
    return np.asarray(np.maximum(cosine, 0.0), dtype=np.float32)


def _speaker(query: Query, pool: Pool) -> NDArray[np.float32]:
    """1 said by the one asked about, 0 by another, 0.5 when no one is asked about or known to speak."""
    c = pool.candidates
    if query.speakers:
        named = np.isin(pool.speaker[c], np.array(query.speakers, dtype=np.int32))
        return np.where(pool.is_person[c], named, 0.5).astype(np.float32)
    if query.is_about_you or (query.is_first_person and not query.asks_summary):
        asked = ROLE_ASSISTANT if query.is_about_you else ROLE_USER
        other = ROLE_USER if query.is_about_you else ROLE_ASSISTANT
        role = np.where(pool.is_person[c] | pool.is_kept[c], ROLE_NONE, pool.role[c])
        return np.where(role == asked, 1.0, np.where(role == other, 0.0, 0.5)).astype(np.float32)
    return np.full(len(c), 0.5, dtype=np.float32)


def _length(pool: Pool) -> NDArray[np.float32]:
    """How long a text is for its role, 0 to 1; 0.5 is average."""
    logs = np.log1p(pool.n_chars.astype(np.float64))
    kinds = np.where(pool.is_kept, 4, np.where(pool.is_person, ROLE_OTHER, pool.role)).astype(np.int64)
    count = np.maximum(np.bincount(kinds, minlength=5), 1)
    mean = np.bincount(kinds, logs, minlength=5) / count
    spread = np.sqrt(np.bincount(kinds, (logs - mean[kinds]) ** 2, minlength=5) / count)
    spread[4] = 0.0  # a memory is as long as its statement needs
    by_kind = np.where(spread > 1e-6, 4.0 * spread, np.inf)
    return np.clip(0.5 + (logs - mean[kinds]) / by_kind[kinds], 0.0, 1.0).astype(np.float32)
