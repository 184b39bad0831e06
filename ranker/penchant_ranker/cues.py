"""Cues: what a text's form says, as bit flags that are computed once when the text is written."""

from __future__ import annotations

import re
from enum import IntFlag

from .text import STOP_WORDS

#: Changes when the same text would give other flags, so that stored cues are computed again.
CUES_VERSION = 2


class Cue(IntFlag):
    """One bit per claim about a text; SEEN is always set, so that 0 means "not computed yet"."""

    NONE = 0
    SEEN = 1
    ASKS = 2  #: puts a question
    TIME = 4  #: holds a time expression
    FIRST_PERSON = 8  #: the speaker speaks of themselves
    CODE = 16  #: is program text as a whole
    HAS_CODE = 32  #: holds a code block or inline code
    NAMES = 64  #: holds a proper name, other than that of whoever is spoken to


MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip

_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|recently|lately|"
    r"(?:last|next|this|past|previous|coming)\s+(?:few\s+|couple\s+(?:of\s+)?)?"
    r"(?:night|morning|evening|afternoon|day|days|week|weeks|weekend|month|months|year|years|"
    r"spring|summer|autumn|fall|winter|mon|tues?|wednes|thurs?|fri|satur|sun)(?:day)?|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|"
    r"january|february|april|june|july|august|september|october|november|december|"
    r"(?:in|on|since|until|by|of|early|late|mid)[\s-]+(?:may|march)|(?:may|march)\s+\d{1,2}|"
    r"\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:may|march)|"
    r"(?:19|20)\d\d|\d{1,2}[:.]\d\d|\d{1,2}\s?[ap]m|\d{1,2}(?:st|nd|rd|th)|"
    r"(?:\d+|a|an|one|two|three|four|five|six|seven|eight|nine|ten|few|couple(?:\s+of)?|several)\s+"
    r"(?:minute|hour|day|week|weekend|month|year)s?|"
    r"gestern|vorgestern|heute|morgens|letzte[nrs]?|nächste[nrs]?|ayer|hoy|anteayer|pasad[oa])\b|"
    r"昨天|今天|明天|上周|下周|上个月|去年|昨日|今日|明日|先週|来週|先月|去年",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(
    r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]ine|[Mm]e|[Mm]yself|[Ww]e|[Oo]ur|"
    r"ich|mein\w{0,2}|mich|mir|yo|mis?)\b|我|私|僕"
)
_CODE_START = re.compile(
    r"\s*(?:@\w|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[(:{]|import\s+\w|from\s+[\w.]+\s+import\b|#include\b|"
    r"(?:export\s+|async\s+)*function\b[^\n]*[({]|(?:const|let|var)\s+\w+\s*=|(?:pub\s+)?fn\s+\w+|func\s+[\w(]|"
    r"(?:public|private|protected|static)\s+[\w<>\[\]]+[^\n]*[({;]|SELECT\s[^\n]+\sFROM\s|#!/|package\s+\w+;?\s*$)"
)
_CODE_LINE = re.compile(
    r"^\s*(?:(?:if|for|while|elif|else|try|except|with|return|raise|import|from|def|class)\b.*:?\s*$|"
    r".*[;{}]\s*$|[\w.\[\]]+\s*[-+*/]?=\s*\S|[\w.]+\(.*\)\s*$|[@#/]\S)"
)
_NAME = re.compile(
    # A capital within a sentence, a title in quotes, an acronym; "I" is none.
    r"(?<![.!?…\"“\n:)\]-] )(?<!^)(?<![\"“'‘(\[*#_-])\b(?!I\b|I['’])[A-ZÀ-ÖØ-Þ][a-zß-ÿ]+\b|"
    r"\"[A-ZÀ-ÖØ-Þ][^\"\n]{2,60}\"|“[A-ZÀ-ÖØ-Þ]|\b[A-Z]{2,}[a-z]*\b"
)
# Whoever is spoken to: "Hey Melanie!", "Thanks, Tom.", "Wow, Ann, that is great".
_CALLED = re.compile(
    r"(?:^|[,.!?:]\s*|\b(?:hey|hi|hello|thanks|thank\s+you|wow|yeah|yes|no|cool|congrats|sure|oh|bye|sorry|morning|"
    r"ok|okay|totally|definitely|awesome|great|nice|well)(?:\s*,)?\s+)(?-i:[A-ZÀ-ÖØ-Þ][a-zß-ÿ]+)(?=\s*(?:[,.!?:;]|$|\[|-))",
    re.IGNORECASE,
)
_CALENDAR = frozenset((*MONTHS, "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
_FENCE = re.compile(r"```|`[^`\n]{2,}`")


def cues(text: str) -> Cue:
    """The cues of a text; never 0.

    >>> cues("Did you paint it last week?").name
    'SEEN|ASKS|TIME'
    >>> Cue.NAMES in cues("Thanks, Tom! We met in Lisbon."), Cue.NAMES in cues("Thanks, Tom! We met in May.")
    (True, False)
    >>> Cue.CODE in cues("def f(x):\\n    return x")
    True
    """
    found = Cue.SEEN
    if "?" in text or "？" in text:
        found |= Cue.ASKS
    if _TIME.search(text):
        found |= Cue.TIME
    if _FIRST_PERSON.search(text):
        found |= Cue.FIRST_PERSON
    if _holds_name(text):
        found |= Cue.NAMES
    if _FENCE.search(text):
        found |= Cue.HAS_CODE
    if is_code(text):
        found |= Cue.CODE
    return found


def _holds_name(text: str) -> bool:
    """Whether a text holds a proper name that is neither the one spoken to nor a day or month."""
    for match in _NAME.finditer(_CALLED.sub(" ", text)):
        word = match.group().strip('"“').lower()
        if word not in _CALENDAR and word not in STOP_WORDS:
            return True
    return False


def is_code(text: str) -> bool:
    """Whether a text is program text as a whole: it starts like code, or most of its lines do.

    >>> is_code("Could you import the file, please?"), is_code("const a = 1;")
    (False, True)
    """
    lines = [line for line in text[:4000].splitlines() if line.strip()]
    if not lines:
        return False
    n_code = sum(1 for line in lines if _CODE_LINE.match(line))
    if _CODE_START.match(text):
        return len(lines) < 3 or n_code * 4 >= len(lines)
    return len(lines) >= 3 and n_code * 3 >= len(lines) * 2
