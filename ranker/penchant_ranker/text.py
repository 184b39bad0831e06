"""Words and stems: the one way in which queries and documents are cut into terms.

Latin text is cut into words, folded (case, accents, width) and stemmed by Porter; identifiers give their parts
and themselves (`maxRetries` -> max, retri, maxretri); scripts written without spaces give character pairs, and
each Han character by itself, since one is often a word. A text that reads as German or Spanish gives, after its
words, their stems in that language, and German compounds their possible parts: an English text gives nothing more,
so that nothing is lost where the language is mistaken.
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
TEXT_VERSION = 2

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
_GERMAN = """
aber als auch auf aus bei beim bin bis bist da damit dann das dass dein deine dem den der des dich die dir doch
dort du durch ein eine einem einen einer eines er es euch euer für hab habe haben hat hatte hatten ich ihm ihn
ihnen ihr ihre im ist ja jede jeder kann kein keine können mein meine meinem meinen meiner mich mir mit nach
nicht noch nur oder sein seine sich sie sind über um und uns unser unsere vom von vor wann war waren warum was
weil welche welcher welches welchem welchen wenn wer werden wie wieder wir wird wo wurde wurden zu zum zur
"""
_SPANISH = """
al algo como con cual cuando cuál cuándo cómo cuánto cuánta cuántos cuántas de del desde donde dónde el ella
ellas ellos en entre era eran es esa ese eso esta está estaba este esto fue ha había han hasta hay la las le les
lo los más mi mis muy nos nosotros para pero por porque que qué quien quién se ser si sobre son su sus también te
tiene tu tus un una uno unos unas y ya yo
"""
# What these are in English must be found: "what hat", "her son", "the war", "a fur", an Uber.
_ENGLISH_TOO = "bin den die era fur hat hay son uber war was"
# Small words that tell the language, and are looked for all the same.
_GERMAN_HINTS = """
ab abends alle allen alles bevor bleibt dann dieser diese dieses dreißig drei ersten fünf gegen geht gibt heißt heute
immer jeden jedes jedem keinen kommt kommen läuft liegt macht montags müssen muss nachdem neun neue neuen ohne sagt
schon sehr seit seiner sechs selbst sieben soll sollen sondern steht unter vier viele viel wem wen wird wollen wollte
zehn zwei zwischen zwölf
"""
_SPANISH_HINTS = """
ahora algunos antes aunque ayer cada cinco cuatro después dos durante está están ella hacer hace hacia hemos hoy lugar
mañana mismo mucho nada nuestra nuestro nunca otra otro poco puede quiere según sin siempre solo sólo tenemos tengo
tienen toda todas todo todos tres usamos vez
"""
# These stand in texts of the other languages too.
_NO_ENGLISH_HINT = "a am an d do he in ll m me no re s so t ve"
_HAN_STOPS = "的了是在我你他她它们这那个么什怎哪谁吗呢吧有和与就都也很何誰"


def _fold(word: str) -> str:
    """`word` without case, width and accents, as FTS5's unicode61 would see it; katakana as hiragana.

    >>> _fold("Größe"), _fold("ＡＢＣ"), _fold("mañana"), _fold("メガネ")
    ('grosse', 'abc', 'manana', 'めがね')
    """
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKC", word).casefold()
    if _UNSPACED.search(folded):
        # NFKD would take the voicing marks off kana. The same word is written in either kana.
        return folded.translate(_KATAKANA_TO_HIRAGANA)
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


# Han, kana, Hangul, Thai, Lao, Khmer, Burmese: written without spaces, or with endings glued to the word.
#: As the inside of a regular expression's set.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]+")
_HAN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_GERMAN_LETTER = re.compile("[äöüßÄÖÜẞ]")
_SPANISH_LETTER = re.compile("[ñÑ¿¡áéíóúÁÉÍÓÚ]")
# "Koeln" for "Köln": its folded form is "koln".
_UMLAUT_BY_E = re.compile("([aou])e")
#: A part of a compound has so many letters ("Bett", "Gast"); shorter ones are endings more often than words.
MIN_PART = 4
# How a later part of a compound begins: consonants that German words begin with and a vowel, or a vowel where one of
# the usual beginnings stands (else every vowel inside a word would begin a part).
_CAN_START = re.compile(
    "(?:sch[lmnrw]?|s[pt]r?|spl|[bfgkp][lr]|[dtw]r|chr|pf[lr]?|ph[lr]?|th|gn|kn|qu|zw|[bcdfghjklmnprstvwz])[aeiouy]|"
    "a(?:b|dr|kt|lt|mt|n|r[btz]|u[fst])|e(?:in|is|n[dt]|r[fgklwz])|i(?:de|n[dhst])|o(?:bst|ff|r[dt]|st)|u(?:b|fer|hr|m|n|r)"
)
_VOWEL = re.compile("[aeiouy]")
# Ends of words that are no words: "Rech-nung", "Migra-tion".
_ENDING = re.compile(
    "[a-z]{0,3}ung(?:s|en)?|tion(?:s|en)?|heit(?:en)?|keit(?:en)?|lich(?:e[nmrs]?)?|schaft(?:en)?"
)
# Thai and Burmese vowel signs are marks (category M), which \w does not take: named, so that they stay in a
# run.
_WORD = re.compile(f"[\\w{UNSPACED}]+")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+[0-9]*|[^\W_A-Za-z0-9]+")
_HUMP = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")

_LISTED = {
    language: frozenset(_fold(w) for w in listed.split())
    for language, listed in (("english", _ENGLISH), ("german", _GERMAN), ("spanish", _SPANISH))
}
STOP_WORDS: frozenset[str] = frozenset(
    (
        *_LISTED["english"],
        *((_LISTED["german"] | _LISTED["spanish"]) - set(_ENGLISH_TOO.split())),
        *_HAN_STOPS,
    )
)

#: Prose has a small word among three; notes have fewer.
MAX_WORDS_PER_HINT = 12
_HINTS = {
    "english": _LISTED["english"] - set(_NO_ENGLISH_HINT.split()),
    "german": (_LISTED["german"] | {_fold(w) for w in _GERMAN_HINTS.split()}) - {"in", "an", "am", "so"},
    "spanish": _LISTED["spanish"] | {_fold(w) for w in _SPANISH_HINTS.split()},
}

_porter = snowballstemmer.stemmer("porter")
_stemmers = {language: snowballstemmer.stemmer(language) for language in ("german", "spanish")}
_stemmer_lock = threading.Lock()  # a Stemmer keeps state between calls


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The Porter stem of a folded word.

    >>> stem("paintings"), stem("running")
    ('paint', 'run')

    Source: Porter (1980), An algorithm for suffix stripping; the original rules, as in SQLite's FTS5.
    """
    if not word.isascii() or len(word) < 3:
        return word
    with _stemmer_lock:
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
    """The folded words of a text in its order, stop words included; then what more it may be found by.

    >>> words("Melanie's maxRetries = load_config()")
    ['melanie', 's', 'max', 'retries', 'maxretries', 'load', 'config', 'loadconfig']
    >>> words("数据库")
    ['数据', '据库', '数', '据', '库']
    >>> words("Die Rechnungen sind hier")
    ['die', 'rechnungen', 'sind', 'hier', 'rechnung']
    """
    runs = _WORD.findall(text)
    found = [w for run in runs for w in _words_of(run)]
    return found + _further(text, runs, found)


def _further(text: str, runs: Sequence[str], found: Sequence[str]) -> list[str]:
    """Han characters one by one, and the stems and parts of German and Spanish words."""
    further: list[str] = []
    if not text.isascii():
        further += [character for run in runs for character in _han_of(run)]
    language = _language(text, found)
    if language is not None:
        further += [part for word in found for part in _parts_of(word, language)]
    return further


@lru_cache(maxsize=1 << 14)
def _han_of(run: str) -> tuple[str, ...]:
    """Each Han character of a run of two characters or more (one alone is a word already)."""
    if run.isascii():
        return ()
    return tuple(
        c for piece in _UNSPACED.findall(_fold(run)) if len(piece) > 1 for c in piece if _HAN.match(c)
    )


def _language(text: str, found: Sequence[str]) -> str | None:
    """German or Spanish, when more of the text's small words are of it than English ones; else None.

    >>> _language("Wo ist der Schlüssel?", words("Wo ist der Schlüssel?"))
    'german'
    >>> _language("Is the die cast?", words("Is the die cast?")) is None
    True
    """
    n = {language: sum(w in listed for w in found) for language, listed in _HINTS.items()}
    if not text.isascii():
        n["german"] += bool(_GERMAN_LETTER.search(text))
        n["spanish"] += bool(_SPANISH_LETTER.search(text))
    best = "german" if n["german"] >= n["spanish"] else "spanish"
    is_dense = n[best] * MAX_WORDS_PER_HINT >= len(found)  # program text has an "im" or "es" now and then
    return best if n[best] > n["english"] and is_dense else None


@lru_cache(maxsize=1 << 16)
def _parts_of(word: str, language: str) -> tuple[str, ...]:
    """A word's stem in its language, and the stems of what a German compound may be made of.

    >>> _parts_of("ofertas", "spanish"), _parts_of("der", "german")
    (('ofert',), ())
    >>> "putz" in _parts_of("fensterputzer", "german") and "fen" in _parts_of("fenster", "german")
    False
    """
    if len(word) < 4 or not word.isascii() or word in STOP_WORDS:
        return ()
    parts = [word]
    if language == "german":
        parts += _compound_parts(word)
        parts += [plain for part in parts if (plain := _UMLAUT_BY_E.sub(r"\1", part)) != part]
    with _stemmer_lock:
        stemmed = [str(_stemmers[language].stemWord(part)) for part in parts]
    return tuple(dict.fromkeys(part for part in stemmed if part != stem(word) and len(part) > 1))


def _compound_parts(word: str) -> list[str]:
    """What stands before and after each place where a German word could be put together.

    Without a dictionary many are no words; those match nothing.
    """
    parts: list[str] = []
    for i in range(MIN_PART, len(word) - MIN_PART + 1):
        if not (_CAN_START.match(word, i) and _VOWEL.search(word, 0, i)) or _ENDING.fullmatch(word, i):
            continue
        # "haustur|schlussel", not "haustursch|lussel": a part begins as early as it can, but for a joining s.
        is_late = not _VOWEL.match(word, i) and word[i - 1] not in "aeiouys" and _CAN_START.match(word, i - 1)
        if not is_late:
            parts += [word[:i], word[i:]]
    return parts


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
    runs = _WORD.findall(text)
    found: list[int] = []
    for run in runs:
        found.extend(_hashes_of(run) if len(run) <= 64 else _hashes_of.__wrapped__(run))
    plain = [w for run in runs for w in _words_of(run)]
    found.extend(stem_hash(stem(w)) for w in _further(text, runs, plain) if w not in STOP_WORDS)
    return np.array(found, dtype=np.uint32)
