"""Words and stems: the one way in which queries and documents are cut into terms.

Latin text is cut into words, folded (case, accents, width) and stemmed by Porter; identifiers give their
parts and
themselves (`maxRetries` -> max, retri, maxretri); scripts written without spaces give character pairs.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

#: Changes when the same text would give other stems, so that stored stems are computed again.
TEXT_VERSION = 1

_ENGLISH = """
a about above after again against all also am an and any are aren as at be because been before being below
between
both but by can cannot could couldn d did didn do does doesn doing don down during each ever few for from
further get
gets got had hadn has hasn have haven having he her here hers herself him himself his how i if in into is
isn it its
itself just ll m me more most my myself no nor not now of off on once only or other our ours ourselves out
over own re
s same shall she should shouldn so some such t than that the their theirs them themselves then there these
they this
those through to too under until up upon us ve very was wasn we were weren what when where which while who
whom whose why will with won would wouldn you your yours yourself yourselves
"""
# German and Spanish: only words that are no English content word ("die", "was", "no", "sin" stay).
_GERMAN = """
aber als auch auf aus bei beim bin bis bist da damit dann das dass dein deine dem den der des dich dir doch
dort du durch
ein eine einem einen einer eines er es euch euer für hab habe haben hat hatte hatten ich ihm ihn ihnen ihr
ihre im ist
ja jede jeder kann kein keine können mein meine meinem meinen meiner mich mir mit nach nicht noch nur oder
sein seine
sich sie sind über um und uns unser unsere vom von vor wann war waren warum weil welche welcher welches wenn
wer wie wieder wir wird wo wurde zu zum zur
"""
_SPANISH = """
al algo como con cual cuando cuál cuándo cómo de del desde donde dónde el ella ellas ellos en entre era eran
es esa ese
eso esta está estaba este esto fue ha había han hasta hay la las le les lo los más mi mis muy nos nosotros
para pero por
porque que qué quien quién se ser si sobre son su sus también te tiene tu tus un una uno unos unas y ya yo
"""


def _fold(word: str) -> str:
    """`word` without case, width and accents, as FTS5's unicode61 would see it.

    >>> _fold("Größe"), _fold("ＡＢＣ"), _fold("mañana")
    ('grosse', 'abc', 'manana')
    """
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKC", word).casefold()
    if _UNSPACED.search(folded):
        return folded  # NFKD would take the voicing marks off kana
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


# Han, kana, Hangul, Thai, Lao, Khmer, Burmese: written without spaces, or with endings glued to the word.
_UNSPACED_CLASS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_CLASS}]+")
# Thai and Burmese vowel signs are marks (category M), which \w does not take: named, so that they stay in a
# run.
_WORD = re.compile(f"[\\w{_UNSPACED_CLASS}]+")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+[0-9]*|[^\W_A-Za-z0-9]+")
_HUMP = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")

STOP_WORDS: frozenset[str] = frozenset(_fold(w) for w in (_ENGLISH + _GERMAN + _SPANISH).split())

_porter = snowballstemmer.stemmer("porter")
_porter_lock = threading.Lock()  # a Stemmer keeps state between calls


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The Porter stem of a folded word.

    >>> stem("paintings"), stem("running")
    ('paint', 'run')

    Source: Porter (1980), An algorithm for suffix stripping; the original rules, as in SQLite's FTS5.
    """
    if not word.isascii() or len(word) < 3:
        return word
    with _porter_lock:
        return str(_porter.stemWord(word))


@lru_cache(maxsize=1 << 17)
def stem_hash(stem_: str) -> int:
    """The number a stem is stored as: CRC-32 of its UTF-8.

    >>> stem_hash("paint")
    1467646999
    """
    return zlib.crc32(stem_.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1 << 17)
def _words_of(run: str) -> tuple[str, ...]:
    """The folded words of one run of word characters."""
    if run.isascii():
        if "_" not in run and not _HUMP.search(run):
            return (run.lower(),)
        parts = [p.lower() for p in _PART.findall(run)]
        whole = run.replace("_", "").lower()
        if not parts:
            return ()
        return (parts[0],) if len(parts) == 1 else (*parts, whole)
    folded = _fold(run)
    if not _UNSPACED.search(folded):
        return tuple(p for p in folded.split("_") if p)
    out: list[str] = []
    start = 0
    for match in _UNSPACED.finditer(folded):
        out.extend(p for p in folded[start : match.start()].split("_") if p)
        out.extend(_pairs(match.group()))
        start = match.end()
    out.extend(p for p in folded[start:].split("_") if p)
    return tuple(out)


def _pairs(run: str) -> Sequence[str]:
    return (run,) if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def words(text: str) -> list[str]:
    """The folded words of a text in its order, stop words included.

    >>> words("Melanie's maxRetries = load_config()")
    ['melanie', 's', 'max', 'retries', 'maxretries', 'load', 'config', 'loadconfig']
    >>> words("数据库迁移")
    ['数据', '据库', '库迁', '迁移']
    """
    return [w for run in _WORD.findall(text) for w in _words_of(run)]


def stems(text: str) -> list[str]:
    """The stems of a text in its order, stop words left out; what is matched between query and document.

    >>> stems("She was painting the sunrises")
    ['paint', 'sunris']
    """
    return [stem(w) for w in words(text) if w not in STOP_WORDS]


@lru_cache(maxsize=1 << 17)
def _hashes_of(run: str) -> tuple[int, ...]:
    return tuple(stem_hash(stem(w)) for w in _words_of(run) if w not in STOP_WORDS)


def stem_hashes(text: str) -> NDArray[np.uint32]:
    """`stems(text)` as `stem_hash` numbers: (n_stems,) uint32, empty for a text without words.

    >>> stem_hashes("painted a painting").tolist() == [stem_hash("paint")] * 2
    True
    """
    found: list[int] = []
    for run in _WORD.findall(text):
        found.extend(_hashes_of(run) if len(run) <= 64 else _hashes_of.__wrapped__(run))
    return np.array(found, dtype=np.uint32)
