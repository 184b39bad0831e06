"""How well the time that a query names is read: the golden set of times, in eight languages, with reference times.

    python -m benchmarks.eval_when [--misses] [--seed 0]

Each case is a query, the moment it is asked at, and the days that it names or none; only the same first and last day
count. Where a query names several times, the first is taken. Beside it: always answering "no time", and dateparser's
search where it is installed (the product does not use it).
Intervals: 95 %, resampling queries, since one query is asked at several moments.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report, percentile
from penchant_ranker import bootstrap_interval, time_ranges
from penchant_ranker.when_tokens import may_hold_time

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "temporal" / "golden.json"
EPOCH = datetime(1970, 1, 1)
DAY_S = 86_400
REPEATS = 5
#: What recall can spare of its 10 ms.
LIMITS_US = {("grammar", "without any word of time"): 50.0, ("grammar", "with one"): 1_000.0}

Days = tuple[int | None, int | None] | None
#: Reads a query that is asked at a moment (seconds since 1970, UTC).
Way = Callable[[str, int], Days]

#: Words by which a case is sorted into a language; what has none is English.
_LANGUAGES: tuple[tuple[str, str], ...] = (
    ("ja", r"[\u3040-\u30ff]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("ru", r"[\u0400-\u04ff]"),
    (
        "de",
        r"januar\b|februar\b|märz|\b(?:mai|juni|juli|oktober|dezember|gestern|heute|vor|monat|jahr)\b|woche|letzt|ist",
    ),
    (
        "fr",
        r"janvier|février|\bmars|avril|\bjuin|juillet|ao[uû]t|septembre|octobre|décembre|derni|hier\b|jours|aujourd",
    ),
    ("pt", r"\bque aconteceu"),
    (
        "it",
        r"naio|raio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|scors|giorni|\bieri|oggi|riunione",
    ),
    (
        "es",
        r"enero|febrero|marzo|abril|mayo|junio|julio|agosto|[pv]i?embre\b|octubre|pasad|\bhoy|ayer|días|reunión",
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One query asked at one moment.

    :param now: the moment, seconds since 1970, UTC.
    :param days: first second and the first after the last day; None where no time is named.
    """

    query: str
    now: int
    days: Days

    @property
    def language(self) -> str:
        """Two letters."""
        text = self.query.casefold()
        return next((name for name, words in _LANGUAGES if re.search(words, text)), "en")

    @property
    def form(self) -> str:
        """How long a stretch is named."""
        if self.days is None or self.days[0] is None or self.days[1] is None:
            return "none"
        n = (self.days[1] - self.days[0]) // DAY_S
        names = {1: "day", 2: "weekend", 7: "week"}
        return names.get(n, "month" if 28 <= n <= 31 else "year" if n in (365, 366) else "other")


def load() -> list[Case]:
    """The golden set.

    :raises FileNotFoundError: the data is not beside the repository.
    """
    golden: dict[str, list[str] | None] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    cases = []
    for key, answer in golden.items():
        at, _, query = key.partition("\x1f")
        days: Days = None
        if answer is not None:
            first, last = ((datetime.fromisoformat(moment) - EPOCH).days for moment in answer)
            days = first * DAY_S, (last + 1) * DAY_S
        cases.append(Case(query, (datetime.fromisoformat(at) - EPOCH) // timedelta(seconds=1), days))
    return cases


def by_grammar(query: str, now: int) -> Days:
    """The product's own reading."""
    found = time_ranges(query, now)
    return found[0].resolved(now) if found else None


def by_nothing(query: str, now: int) -> Days:
    """The baseline that never sees a time."""
    return None


def by_dateparser() -> Way:
    """dateparser's search in the languages of the set, its first find, as long as its period says."""
    search_dates: Any = import_module("dateparser.search").search_dates
    reader: Any = import_module("dateparser").DateDataParser
    languages = ["en", "de", "fr", "es", "it", "pt", "ru", "zh"]

    def read(query: str, now: int) -> Days:
        settings: Any = {"RELATIVE_BASE": EPOCH + timedelta(seconds=now), "PREFER_DATES_FROM": "past"}
        try:
            found = search_dates(query, languages=languages, settings=settings)
        except (ValueError, OverflowError):  # its own arithmetic fails on such years as 0000
            return None
        if not found:
            return None
        period = reader(languages=languages, settings=settings).get_date_data(found[0][0]).period
        return _whole(found[0][1].replace(tzinfo=None), period)

    return read


def _whole(day: datetime, period: str) -> Days:
    """The calendar day, week, month or year that a day stands for."""
    first = (day - EPOCH).days
    if period == "week":
        first -= day.weekday()
        return first * DAY_S, (first + 7) * DAY_S
    if period == "month":
        first -= day.day - 1
        following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        return first * DAY_S, (following - EPOCH).days * DAY_S
    if period == "year":
        first = (datetime(day.year, 1, 1) - EPOCH).days
        return first * DAY_S, (
            first + 365 + (day.year % 4 == 0 and day.year % 100 != 0 or day.year % 400 == 0)
        ) * DAY_S
    return first * DAY_S, (first + 1) * DAY_S


def took_us(way: Way, cases: Sequence[Case]) -> list[float]:
    """The fastest of a few readings of each query, in microseconds."""
    took = []
    for case in cases:
        runs = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            way(case.query, case.now)
            runs.append((time.perf_counter() - started) * 1e6)
        took.append(min(runs))
    return took


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="list each query that is read otherwise")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    arguments = parser.parse_args()
    cases = load()
    n_none = sum(case.days is None for case in cases)
    what = f"golden times, {len(cases)} cases, {n_none} of them without a time, {len({c.query for c in cases})} queries"
    report = Report("eval_when", what, arguments.seed)
    ways: dict[str, Way] = {"grammar": by_grammar, "no time": by_nothing}
    if find_spec("dateparser") is not None:
        ways["dateparser"] = by_dateparser()
    read = {name: [way(case.query, case.now) for case in cases] for name, way in ways.items()}
    met = {
        name: np.array([a == c.days for a, c in zip(read[name], cases, strict=True)], float) for name in ways
    }
    _print_table("language", [case.language for case in cases], cases, met, arguments.seed)
    _print_table("form", [case.form for case in cases], cases, met, arguments.seed)
    if arguments.misses:
        _print_misses(cases, read["grammar"])
    for name in ways:
        report.add(
            f"{name}: exact", [float(met[name].mean())], "", at_least=0.85 if name == "grammar" else None
        )
        none = [
            answer is not None for answer, case in zip(read[name], cases, strict=True) if case.days is None
        ]
        report.add(f"{name}: a time seen where none is named", [float(np.mean(none))], "")
    plain, timed = ([c for c in cases if may_hold_time(c.query) is has] for has in (False, True))
    for name, way in ways.items():
        if name != "no time":
            some = slice(None) if name == "grammar" else slice(0, None, 10)  # dateparser takes its time
            for said, own in (("without any word of time", plain), ("with one", timed)):
                took = took_us(way, own[some])
                report.add(f"{name}: a query {said}, p50", [percentile(took, 50)], "µs")
                report.add(
                    f"{name}: the same, p99",
                    [percentile(took, 99)],
                    "µs",
                    at_most=LIMITS_US.get((name, said)),
                )
    report.save()


def _print_table(
    title: str, groups: list[str], cases: Sequence[Case], met: dict[str, np.ndarray[Any, Any]], seed: int
) -> None:
    """Exact answers of each group, with their intervals."""
    queries = {query: n for n, query in enumerate(dict.fromkeys(case.query for case in cases))}
    pools = np.array([queries[case.query] for case in cases])
    print(f"\n   {title:<10}{'cases':>7}" + "".join(f"{name:>24}" for name in met))
    for group in ["all", *sorted(set(groups))]:
        chosen = np.array([group in ("all", own) for own in groups])
        cells = []
        for values in met.values():
            low, high = bootstrap_interval(values[chosen], pools[chosen], np.random.default_rng(seed))
            cells.append(f"{values[chosen].mean():.3f} [{low:.3f}, {high:.3f}]")
        print(f"   {group:<10}{int(chosen.sum()):>7}" + "".join(f"{cell:>24}" for cell in cells))
    print(flush=True)


def _print_misses(cases: Sequence[Case], read: Sequence[Days]) -> None:
    """Each query that is read otherwise, with one of its cases."""
    missed: dict[str, list[tuple[Case, Days]]] = {}
    for case, answer in zip(cases, read, strict=True):
        if answer != case.days:
            missed.setdefault(case.query, []).append((case, answer))
    for query, found in missed.items():
        case, answer = found[0]
        at = (EPOCH + timedelta(seconds=case.now)).date()
        print(f"   {len(found)} × {query[-60:]!r} at {at}: golden {_shown(case.days)}, read {_shown(answer)}")
    print(flush=True)


def _shown(days: Days) -> str:
    """Days as people write them."""
    if days is None:
        return "none"
    first, last = days[0], None if days[1] is None else days[1] - 1
    written = ["" if s is None else (EPOCH + timedelta(seconds=s)).date().isoformat() for s in (first, last)]
    return written[0] if written[0] == written[1] else f"{written[0]} to {written[1]}"


if __name__ == "__main__":
    main()
