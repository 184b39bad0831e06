"""Keys, tokens and passwords are taken out of text before anything is stored.

Two detectors look at each text: our own rules (`secret_rules`), and Kingfisher, which knows the exact shape
of some 440 providers' keys. A secret becomes `[secret:KIND]`; its bytes are neither kept nor logged, only
counted per kind.

Kingfisher costs 50 MB and 0.4 s (3 s the first time), so it is loaded by the first text that could hold
one of its keys; that text waits, so nothing is stored unscanned. When it cannot be loaded, `status()` says
so and our own rules go on alone.

All work is done on UTF-8 bytes: `bytes.lower()` keeps every offset (Unicode's lower case does not), and
Kingfisher reports byte offsets.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penchant_daemon.capture.secret_rules import PLAIN_KINDS, Span, is_placeholder, own_spans

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

Json: TypeAlias = "str | int | float | bool | None | list[Json] | dict[str, Json]"

MARK = "[secret:{kind}]"

_MIN_SCANNED_WORD = 15  # the shortest key of Kingfisher's rules that carries no keyword of ours
_KEY_SIZED = re.compile(rf"\S{{{_MIN_SCANNED_WORD},}}")
_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its secrets, and how many of each kind were taken out."""

    text: str
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Secrets taken out."""
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class SecretsStatus:
    """What is said about masking in `penchant status`.

    :param state: `off` (by the config), `waiting` (Kingfisher loads with the first text that needs it),
        `ready` or `own rules only`.
    :param problem: why Kingfisher is missing, else None.
    :param masked: secrets masked since the start, by kind.
    """

    state: str
    problem: str | None
    masked: Mapping[str, int]


class SecretMasker:
    """Finds secrets in text and replaces them; safe to call from several threads.

    :param cache_dir: folder for Kingfisher's compiled rules (2.4 MB), None for none: each start then
        compiles for 3 s instead of reading for 0.4 s.
    :param enabled: False passes every text through unchanged (`capture.mask_secrets = false`).
    """

    def __init__(self, cache_dir: Path | None = None, *, enabled: bool = True) -> None:
        self._cache_dir = cache_dir
        self._enabled = enabled
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # compiling takes seconds, and nobody who counts waits for it
        self._scanner: Scanner | None = None
        self._problem: str | None = None
        self._is_settled = False  # loaded, or known to be missing
        self._masked: Counter[str] = Counter()

    def mask(self, text: str) -> Masked:
        """The text with each secret replaced by `[secret:KIND]`, counted for `status()`."""
        if not self._enabled or not text:
            return Masked(text)
        data = text.encode("utf-8", "surrogatepass")
        has_long_word = _may_hold_key(text)
        spans = list(own_spans(data, has_long_word))
        if has_long_word:
            scanner = self._loaded()
            if scanner is not None:
                spans.extend(_scanner_spans(scanner, data))
        return self._masked_spans(text, spans)

    def _masked_spans(self, text: str, spans: list[Span]) -> Masked:
        """The text with these spans of its UTF-8 bytes replaced, and counted."""
        if not spans:
            return Masked(text)
        data = text.encode("utf-8", "surrogatepass")
        parts: list[bytes] = []
        kinds: Counter[str] = Counter()
        at = 0
        for start, end, kind in _merged(spans):
            parts += (data[at:start], MARK.format(kind=kind).encode())
            kinds[kind] += 1
            at = end
        parts.append(data[at:])
        with self._lock:
            self._masked.update(kinds)
        return Masked(b"".join(parts).decode("utf-8", "surrogatepass"), kinds)

    def mask_at_once(self, text: str) -> Masked:
        """`mask` for a text that must not wait: until Kingfisher is loaded, words that could be one of its keys go
        as a whole (`[secret:unchecked]`)."""
        if self._is_settled or not self._enabled or not _may_hold_key(text):
            return self.mask(text)
        words, n_unchecked = _KEY_SIZED.subn(MARK.format(kind="unchecked"), text)
        masked = self._masked_spans(words, list(own_spans(words.encode("utf-8", "surrogatepass"), True)))
        return Masked(masked.text, Counter(unchecked=n_unchecked) + Counter(masked.kinds))

    def mask_json(self, value: Json) -> tuple[Json, Mapping[str, int]]:
        """A JSON value with the secrets of all its strings masked; a field's name counts as context.

        `{"password": "hunter22"}` is masked although the string alone would say nothing.
        """
        kinds: Counter[str] = Counter()
        return self._walk(value, None, kinds, 0), kinds

    def status(self) -> SecretsStatus:
        """The detectors' state and the counts since the start."""
        with self._lock:
            masked = dict(self._masked)
        if not self._enabled:
            return SecretsStatus("off", None, masked)
        if not self._is_settled:
            return SecretsStatus("waiting", None, masked)
        return SecretsStatus("ready" if self._scanner else "own rules only", self._problem, masked)

    def load(self) -> None:
        """Load Kingfisher now rather than with the first text that needs it."""
        if self._enabled:
            self._loaded()

    def _loaded(self) -> Scanner | None:
        if self._is_settled:
            return self._scanner
        with self._loading:
            if not self._is_settled:
                self._scanner, self._problem = _open_scanner(self._cache_dir)
                self._is_settled = True
        return self._scanner

    def _walk(self, value: Json, name: str | None, kinds: Counter[str], depth: int) -> Json:
        if isinstance(value, str):
            return self._mask_named(value, name, kinds)
        if depth >= _MAX_DEPTH:
            return None  # deeper than any host nests: not kept rather than kept unscanned
        if isinstance(value, list):
            return [self._walk(item, name, kinds, depth + 1) for item in value]
        if isinstance(value, dict):
            return {
                self._mask_named(key, None, kinds): self._walk(item, key, kinds, depth + 1)
                for key, item in value.items()
            }
        return value

    def _mask_named(self, value: str, name: str | None, kinds: Counter[str]) -> str:
        if not self._enabled or not value:
            return value
        masked = self.mask(value)
        kinds.update(masked.kinds)
        if masked.kinds or name is None or len(name) > 100:
            return masked.text
        head = f'"{name}": "'.encode("utf-8", "surrogatepass")
        quoted = head + value.encode("utf-8", "surrogatepass") + b'"'
        for start, end, kind in own_spans(quoted):
            if start == len(head) and end == len(quoted) - 1:
                kinds[kind] += 1
                with self._lock:
                    self._masked[kind] += 1
                return MARK.format(kind=kind)
        return value


def _open_scanner(cache_dir: Path | None) -> tuple[Scanner | None, str | None]:
    """Kingfisher with its bundled rules, or the reason why there is none."""
    try:
        from kingfisher_sdk import Rules, Scanner
    except (ImportError, OSError) as error:
        return None, f"kingfisher-secret-scanner cannot be imported: {error}"
    try:
        rules = Rules(cache=cache_dir is not None, cache_dir=cache_dir)
        return Scanner(rules), None
    except (OSError, RuntimeError, ValueError) as error:
        return None, f"kingfisher-secret-scanner cannot compile its rules: {error}"


def _may_hold_key(text: str) -> bool:
    """Whether a word is long enough for a provider's key; most sentences have none, and cost 3 µs here."""
    return len(text) >= _MIN_SCANNED_WORD and len(max(text.split(), key=len, default="")) >= _MIN_SCANNED_WORD


def _scanner_spans(scanner: Scanner, data: bytes) -> Iterator[Span]:
    for finding in scanner.scan(data):
        # Invisible findings are ids that only help to validate a key: a tenant, a host, a user name.
        if finding.visible and not is_placeholder(finding.secret.encode("utf-8", "surrogatepass")):
            where = finding.location
            yield where["start_offset"], where["end_offset"], _kind_of_rule(finding.rule_id)


def _kind_of_rule(rule_id: str) -> str:
    """`betterleaks.cloudflare-api-key.2` → `cloudflare-api-key`."""
    name = rule_id.rpartition("/")[2].removeprefix("betterleaks.").removeprefix("kingfisher.")
    return re.sub(r"[^a-z0-9-]+", "-", re.sub(r"\.\d+$", "", name.lower())).strip("-") or "key"


def _merged(spans: list[Span]) -> Iterator[Span]:
    """Overlapping spans as one; the kind that says most is kept."""
    spans.sort()
    start, end, kind = spans[0]
    for next_start, next_end, next_kind in spans[1:]:
        if next_start >= end:
            yield start, end, kind
            start, end, kind = next_start, next_end, next_kind
            continue
        end = max(end, next_end)
        if kind in PLAIN_KINDS and next_kind not in PLAIN_KINDS:
            kind = next_kind
    yield start, end, kind


__all__ = ["MARK", "Json", "Masked", "SecretMasker", "SecretsStatus"]
