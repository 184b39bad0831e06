"""Ranking, pure: arrays and dataclasses in, scores and explanations out. No files, clock, sockets or randomness."""

from .cues import CUES_VERSION, Cue, cues, is_code
from .encode import ENCODE_VERSION, date_in_words, embedded_text
from .query import MAX_QUERY_CHARS, Query, SpeakerNames, clean, parse_query
from .text import TEXT_VERSION, stem, stem_hash, stem_hashes, stems, words
from .when import TimeRange, match_ranges, time_ranges

__all__ = [
    "CUES_VERSION",
    "ENCODE_VERSION",
    "MAX_QUERY_CHARS",
    "TEXT_VERSION",
    "Cue",
    "Query",
    "SpeakerNames",
    "TimeRange",
    "clean",
    "cues",
    "date_in_words",
    "embedded_text",
    "is_code",
    "match_ranges",
    "parse_query",
    "stem",
    "stem_hash",
    "stem_hashes",
    "stems",
    "time_ranges",
    "words",
]
