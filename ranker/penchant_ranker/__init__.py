"""Ranking, pure: arrays and dataclasses in, scores and explanations out; no files, clock or sockets."""

from .cues import CUES_VERSION, Cue, cues, is_code
from .encode import ENCODE_VERSION, date_in_words, embedded_text
from .explain import Contribution, Shown, explain
from .features import FEATURES, Feature, Pool, features
from .hand_set import CHAT, CHAT_BY_WORDS, CODE, HandSet, Weight
from .late import (
    LATE_VERSION,
    MAX_TOKENS,
    TOKEN_BITS,
    ContentTokens,
    QueryTokens,
    TokenVectors,
    content_tokens,
)
from .linear import Ranking, rank
from .metrics import (
    all_at,
    auroc,
    auroc_interval,
    bootstrap_interval,
    hit_at,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)
from .query import MAX_QUERY_CHARS, ROLE_SPEAKERS, Query, SpeakerNames, clean, parse_query
from .select import estimated_tokens, select
from .text import TEXT_VERSION, stem, stem_hash, stem_hashes, stems, words
from .when import TimeRange, match_ranges, time_ranges

__all__ = [
    "CHAT",
    "CHAT_BY_WORDS",
    "CODE",
    "CUES_VERSION",
    "ENCODE_VERSION",
    "FEATURES",
    "LATE_VERSION",
    "MAX_QUERY_CHARS",
    "MAX_TOKENS",
    "ROLE_SPEAKERS",
    "TEXT_VERSION",
    "TOKEN_BITS",
    "ContentTokens",
    "Contribution",
    "Cue",
    "Feature",
    "HandSet",
    "Pool",
    "Query",
    "QueryTokens",
    "Ranking",
    "Shown",
    "SpeakerNames",
    "TimeRange",
    "TokenVectors",
    "Weight",
    "all_at",
    "auroc",
    "auroc_interval",
    "bootstrap_interval",
    "clean",
    "content_tokens",
    "cues",
    "date_in_words",
    "embedded_text",
    "estimated_tokens",
    "explain",
    "features",
    "hit_at",
    "is_code",
    "match_ranges",
    "ndcg_at",
    "parse_query",
    "rank",
    "recall_at",
    "reciprocal_rank",
    "select",
    "stem",
    "stem_hash",
    "stem_hashes",
    "stems",
    "time_ranges",
    "words",
]
