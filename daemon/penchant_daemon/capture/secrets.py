"""Keys, tokens and passwords are taken out of text before anything is stored.

Two detectors look at each text: the rules of this module (assignments, headers, URLs, key blocks, token
prefixes), and Kingfisher, which knows the exact shape of some 440 providers' keys. A secret becomes
`[secret:KIND]`; its bytes are neither kept nor logged, only counted per kind.

Kingfisher costs 50 MB and 0.4 s (3 s the first time), so it is loaded by the first text that could hold
one of its keys; that text waits, so nothing is stored unscanned. When it cannot be loaded, `status()` says
so and the rules here go on alone.

All work is done on UTF-8 bytes: `bytes.lower()` keeps every offset (Unicode's lower case does not), and
Kingfisher reports byte offsets.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

Json: TypeAlias = "str | int | float | bool | None | list[Json] | dict[str, Json]"
Span: TypeAlias = tuple[int, int, str]  # first byte, byte after the last, kind

MARK = "[secret:{kind}]"

_MIN_SCANNED_WORD = 15  # the shortest key of Kingfisher's rules that carries no keyword of ours
_MAX_VALUE = 4_096
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

    :param state: `off` (by the config), `waiting` (Kingfisher loads with the first text that needs it), `ready`
        or `own rules only`.
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
        if not spans:
            return Masked(text)
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
        with self._lock:
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


# ---------------------------------------------------------------------------- Kingfisher


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
        if finding.visible and not _is_placeholder(finding.secret.encode("utf-8", "surrogatepass")):
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
        if kind in _PLAIN_KINDS and next_kind not in _PLAIN_KINDS:
            kind = next_kind
    yield start, end, kind


# ---------------------------------------------------------------------------- our own rules

_PLAIN_KINDS = frozenset(("password", "token", "secret", "api-key", "key", "credential", "bearer-token"))

# Stem (lower case) -> the keywords that hold it, with their kinds. One `in` per stem decides whether any
# of its rules runs at all: the plain sentence of a chat costs nothing more.
_NAMES: tuple[tuple[bytes, tuple[tuple[bytes, str], ...]], ...] = (
    (
        b"pass",
        (
            (b"passw", "password"),
            (b"passphrase", "password"),
            (b"passcode", "password"),
            (b"mot de passe", "password"),
            (b"pass", "pass"),  # too common a word: only with `=` or a quoted value
        ),
    ),
    (b"pw", ((b"pwd", "password"), (b"pw", "pass"))),
    (b"secret", ((b"secret", "secret"),)),
    (b"token", ((b"token", "token"),)),
    (
        b"key",
        (
            (b"api_key", "api-key"),
            (b"apikey", "api-key"),
            (b"api-key", "api-key"),
            (b"api key", "api-key"),
            (b"access_key", "key"),
            (b"access-key", "key"),
            (b"accesskey", "key"),
            (b"accountkey", "key"),
            (b"private_key", "key"),
            (b"privatekey", "key"),
            (b"encryption_key", "key"),
            (b"signing_key", "key"),
            (b"master_key", "key"),
        ),
    ),
    (b"credential", ((b"credential", "credential"),)),
    (b"auth", ((b"_auth", "token"), (b'"auth"', "token"))),
    (b"kennwort", ((b"kennwort", "password"),)),
    (b"contrase", ((b"contrase", "password"),)),
    (b"senha", ((b"senha", "password"),)),
)

_WORD_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-"
_NAME_BYTES = frozenset(bytes((byte,)) for byte in _WORD_BYTES if byte not in b".:")

# What may stand between the keyword and the end of the name: PASSWORD_PROD, passwordHash is not one of them.
_NAME_TAIL = re.compile(
    rb"(?:(?<=passw)(?:or[dt]|d)|(?<=contrase)(?:\xc3\xb1|n)a)?"
    rb"(?:[_\-. ]?(?:key|token|value|secret|string|prod(?:uction)?|dev|stag(?:e|ing)|live|test|root|admin|id(?=_secret)"
    rb"|v?\d{1,3})){0,3}",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(
    rb"\\{0,4}[\"'`\]]{0,2}"  # the end of a quoted or indexed name
    rb"(?:[ \t]{0,8}:[ \t]{0,8}(?:str|string|Optional\[str\]|String|bytes)(?:[ \t]*\|[ \t]*(?:None|null))?(?=[ \t]*=))?"
    rb"(?:[ \t]{0,16}(:=|=>|===?|=|:|->|\|)[ \t]{0,16}|(>|\()|[ \t]+value[ \t]*(=)[ \t]*)"
)
_QUOTED = re.compile(
    rb"(?:[bfrBFRuU]{0,2})(?P<escape>\\{0,4})(?P<quote>[\"'`])"
    rb"(?P<value>(?:(?!(?P=quote))[^\n\\]|\\(?!(?P=quote)).|(?!(?P=escape)(?P=quote))\\(?P=quote)){1,4096}?)"
    rb"(?P=escape)(?P=quote)"
)
_BARE = re.compile(rb"[^\s\"'`<>(){}\[\],;|]{4,4096}")
_BARE_IN_QUERY = re.compile(rb"[^\s\"'`<>(){}\[\],;|&#]{4,4096}")
_FLAG_GAP = re.compile(rb"(?:=|[ \t]+)")
_PROSE_GAP = re.compile(
    rb"(?:[ \t]+(?:for|of|to|on)(?:[ \t]+[\w.@/-]{1,40}){1,4}?)?[ \t]+(?:is|was|are|=|ist|lautet|est|es)(?:[ \t]+now)?:?[ \t]+",
    re.IGNORECASE,
)

_URL_USER = re.compile(rb"[^\s/?#@:\"'`<>\\]{0,200}:(?P<value>[^\s/@\"'`<>]{1,300})@(?=[\w\[.-])")
_AUTHORIZATION = re.compile(
    rb"\\{0,4}[\"'`\]]{0,2}[ \t]{0,4}[:=,][ \t]{0,4}\\{0,4}[\"'`]?(?:(?:bearer|basic|token|apikey|bot|key)[ \t:=]+)?"
    rb"(?P<value>[A-Za-z0-9._~+/=\-]{8,4096})",
    re.IGNORECASE,
)
_BEARER = re.compile(rb"[ \t]+(?P<value>[A-Za-z0-9._~+/=\-]{12,4096})")
_KEY_BLOCK = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:[\s\S]{0,40000}?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\:,.\-]*)",
)
_NETRC = re.compile(rb"(?:machine[ \t]+\S+|default)\s+(?:(?:login|user)\s+\S+\s+)?password\s+(?P<value>\S{4,300})", re.I)
_COOKIE = re.compile(rb"\\{0,4}[\"'`\]]{0,2}[ \t]{0,4}[:=][ \t]{0,4}\\{0,4}[\"'`]?(?P<pairs>[^\r\n\"'`]{8,8192})")
_COOKIE_PAIR = re.compile(rb"(?P<name>[\w.\-]{1,100})=(?P<value>[^;,\s]{8,4096})")
_CURL_USER = re.compile(
    rb"[ \t](?:-u|--user|--proxy-user)(?:=|[ \t]*)[\"']?[^\s:\"'$<]{1,100}:(?P<value>[^\s\"'@]{3,300})"
)
_SHORT_FLAG = re.compile(
    rb"\b(?:sshpass|docker[ \t]+login\b[^\n]{0,200}?|(?:mysql|mariadb)[\w-]*\b[^\n]{0,200}?(?=[ \t]-p\S)|(?:redis-cli|mongo\w*)\b[^\n]{0,200}?)"
    rb"[ \t]+-(?:p|a)[ \t]?[\"']?(?P<value>[^\s\"'$<-][^\s\"']{3,300})"
)
_JWT = re.compile(rb"eyJ[A-Za-z0-9_\-]{8,4096}\.eyJ[A-Za-z0-9_\-]{8,8192}(?:\.[A-Za-z0-9_\-]{0,4096})?")

# Prefix (as the provider writes it) -> the whole token and its kind. Looser than Kingfisher's rules on
# purpose: a shortened or re-issued key of a known provider is still a key.
_PREFIXED: tuple[tuple[bytes, re.Pattern[bytes], str], ...] = (
    (b"AKIA", re.compile(rb"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"), "aws-access-key"),
    (b"ASIA", re.compile(rb"(?<![A-Za-z0-9])ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"), "aws-access-key"),
    (b"AIza", re.compile(rb"(?<![A-Za-z0-9])AIza[A-Za-z0-9_\-]{30,45}"), "google-api-key"),
    (b"sk-", re.compile(rb"(?<![A-Za-z0-9_-])sk-(?:ant-|proj-|or-|svcacct-|live-|test-)?[A-Za-z0-9_\-]{16,300}"), "api-key"),
    (b"k_live_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{10,200}"), "stripe-key"),
    (b"k_test_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_test_[A-Za-z0-9]{10,200}"), "stripe-key"),
    (b"whsec_", re.compile(rb"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{16,200}"), "stripe-key"),
    (b"gh", re.compile(rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{20,255}"), "github-token"),
    (b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{20,255}"), "github-token"),
    (b"glpat-", re.compile(rb"glpat-[A-Za-z0-9_\-.]{16,100}"), "gitlab-token"),
    (b"xox", re.compile(rb"xox[abeoprs]-[A-Za-z0-9\-]{10,300}"), "slack-token"),
    (b"hooks.slack.com", re.compile(rb"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,100}"), "slack-webhook"),
    (b"npm_", re.compile(rb"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{30,60}"), "npm-token"),
    (b"pypi-", re.compile(rb"(?<![A-Za-z0-9_-])pypi-[A-Za-z0-9_\-]{40,300}"), "pypi-token"),
    (b"hf_", re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,60}"), "huggingface-token"),
    (b"SG.", re.compile(rb"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_\-]{16,40}\.[A-Za-z0-9_\-]{30,60}"), "sendgrid-key"),
    (b"dop_v1_", re.compile(rb"dop_v1_[a-f0-9]{40,80}"), "digitalocean-token"),
    (b"AGE-SECRET-KEY-", re.compile(rb"AGE-SECRET-KEY-1[A-Z0-9]{40,70}"), "age-secret-key"),
)


def own_spans(data: bytes, has_long_word: bool = True) -> Iterator[Span]:
    """Secrets that this module's rules see, as byte spans with their kinds; unsorted, may overlap.

    :param has_long_word: False leaves out the providers' token prefixes, none of which fits a short word.
    """
    low = data.lower()
    for stem, keywords in _NAMES:
        if stem in low:
            for keyword, kind in keywords:
                if keyword in low:
                    yield from _named(data, low, keyword, kind)
    for keyword, rule in _KEYWORD_RULES:
        if keyword in low:
            yield from rule(data, low)
    if not has_long_word:
        return
    for prefix, pattern, kind in _PREFIXED:
        if prefix in data:
            for found in pattern.finditer(data):
                if _n_distinct(found[0]) >= 8 and _is_mixed(found[0]):
                    yield found.start(), found.end(), kind


def _named(data: bytes, low: bytes, keyword: bytes, kind: str) -> Iterator[Span]:
    """Values given to a name that ends in a sensitive word: assignments, fields, flags, sentences."""
    at = low.find(keyword)
    while at >= 0:
        end = at + len(keyword)
        tail = _NAME_TAIL.match(data, end)
        name_end = tail.end() if tail else end
        span = None
        if data[name_end : name_end + 1] not in _NAME_BYTES and (kind != "pass" or not data[at - 1 : at].isalpha()):
            span = _value_after(data, low, at, name_end, kind)
        if span is not None:
            yield span if kind != "pass" else (span[0], span[1], "password")
            end = max(end, span[1])
        at = low.find(keyword, end)


def _value_after(data: bytes, low: bytes, name_start: int, name_end: int, kind: str) -> Span | None:
    separator = _SEPARATOR.match(data, name_end)
    before = data[max(0, name_start - 1) : name_start]
    if separator is not None:
        at = separator.end()
        sign = separator[1] or separator[2] or separator[3]
        quoted = _QUOTED.match(data, at)
        if quoted is not None:
            is_call = sign == b"("
            if is_call and not _is_mixed(quoted["value"]):
                return None
            return _span(quoted, kind) if _is_secret_text(quoted["value"], kind) else None
        if sign in (b"==", b"===", b"|", b"->", b"(") or (kind == "pass" and sign != b"="):
            return None
        if sign == b">" and data[data.rfind(b"<", 0, name_start) + 1 : name_start].strip(_WORD_BYTES):
            return None  # not an XML element's name
        in_query = before in (b"?", b"&") or _is_in_query(data, name_start)
        bare = (_BARE_IN_QUERY if in_query else _BARE).match(data, at)
        if bare is None or not _is_secret_word(bare[0], kind, is_env=_is_env_line(data, name_start, sign, at)):
            return None
        # A call, an index or an attribute follows: code that fetches the secret, not the secret.
        if data[bare.end() : bare.end() + 1] in (b"(", b"[", b"{") or data[at : at + 1] in (b"(", b"["):
            return None
        return bare.start(), bare.start() + len(bare[0].rstrip(b".\\")), kind
    if kind == "pass":
        return None
    if low.rfind(b"--", max(0, name_start - 40), name_start) >= 0 and _is_flag(data, name_start):
        gap = _FLAG_GAP.match(data, name_end)
        if gap is not None:
            quoted = _QUOTED.match(data, gap.end())
            if quoted is not None:
                return _span(quoted, kind) if _is_secret_text(quoted["value"], kind) else None
            bare = _BARE.match(data, gap.end())
            if bare is not None and _is_secret_word(bare[0], kind, is_env=False):
                return bare.start(), bare.end(), kind
        return None
    gap = _PROSE_GAP.match(data, name_end)
    if gap is None:
        return None
    quoted = _QUOTED.match(data, gap.end())
    if quoted is not None:
        value = quoted["value"]
        return _span(quoted, kind) if b" " not in value and _is_mixed(value) and _is_secret_text(value, kind) else None
    bare = _BARE.match(data, gap.end())
    if bare is None:
        return None
    word = bare[0].rstrip(b".,:!?")
    if len(word) >= 6 and _is_mixed(word) and _is_secret_word(word, kind, is_env=False):
        return bare.start(), bare.start() + len(word), kind
    return None


def _span(found: re.Match[bytes], kind: str) -> Span:
    return found.start("value"), found.end("value"), kind


def _is_flag(data: bytes, name_start: int) -> bool:
    """Whether the name is a command line flag: `--db-password`."""
    start = name_start
    while start > 0 and (data[start - 1 : start].isalnum() or data[start - 1 : start] in (b"-", b"_")):
        start -= 1
    return data[start : start + 2] == b"--"


def _is_in_query(data: bytes, name_start: int) -> bool:
    """Whether the name stands in a URL's query: its value ends at the next `&`."""
    start = name_start
    while start > 0 and (data[start - 1 : start].isalnum() or data[start - 1 : start] in (b"-", b"_", b".")):
        start -= 1
    return data[start - 1 : start] in (b"?", b"&")


def _is_env_line(data: bytes, name_start: int, sign: bytes | None, value_start: int) -> bool:
    """Whether this is a line of a .env file, a shell's export or a connection string: the value is text, not code."""
    if sign != b"=" or data[value_start - 1 : value_start] != b"=":
        return False
    start = name_start
    while start > 0 and (data[start - 1 : start].isalnum() or data[start - 1 : start] in (b"_", b".", b"-")):
        start -= 1
    name = data[start:value_start]
    line = data[data.rfind(b"\n", 0, start) + 1 : start].strip().lower()
    is_upper = name.upper() == name
    return is_upper or line in (b"export", b"set", b"env", b"$env:") or data[start - 1 : start] == b";"


# ---------------------------------------------------------------------------- values

_NOT_SECRET = frozenset(
    b"""password passwd pwd pass passphrase passcode secret secrets token tokens key keys apikey api_key api-key access_key
    string str text bytes number integer int float bool boolean object array list dict none null nil undefined true false
    yes no on off required optional invalid missing unknown default empty value values name username user users admin root
    login auth bearer basic oauth oauth2 jwt hidden input field label type path file url uri email todo tbd fixme n/a env
    environment prompt stdin changed updated wrong correct incorrect expired revoked valid test testing foo bar baz foobar
    changeit kennwort passwort contrasena mot_de_passe hash hashed md5 sha1 sha256 sha512 bcrypt argon2 argon2id base64
    utf8 utf-8 utf16 ascii hex hex16 latin1 uuid4 uuid v1 v2 v3 http2 es256 rs256 hs256 ed25519 rsa2048 rsa4096 cl100k
    python3 gpt2 word2vec""".split()
)
_PLACEHOLDER = re.compile(
    rb"""[<\[{(]{1,2}[^<>]*[>\]})]{1,2}$ | \$\{ | \$\( | \{\{ | %\( | %[sdr]\b | ^\$[A-Za-z_] | ^%\w+%$ | ^\{[\w.]*\}$ | \*{3} | \.\.\. | \xe2\x80\xa6
    | x{4} | \?{3} | _{4} | -{5} | ^(.)\1+$ | \\u\{
    | example | changeme | change[-_ ]me | placeholder | redacted | masked | dummy | \byour\b | ^your | [-_.]your[-_.] | insert[-_ ] | replace[-_ ] | \[secret:
    | (?:my|some|the|new|old|enter|test)[-_ ]?(?:api|secret|password|token|key|access)
    | 1234567890?$ | ^0+$ | ^abc123?$ | abcdef(?:gh)?$ | lorem | goes[-_ ]here | [-_ ]here$""",
    re.IGNORECASE | re.VERBOSE,
)
_CODE = re.compile(
    rb"""^(?:self|this|os|sys|process|config|conf|settings?|args?|opts?|options|params?|env|environ|req|request|res|response|
    ctx|app|user|data|kwargs|props|state|session|secrets?|vault|credentials?|flags?|cfg|event|body|payload|row|form|item)[.\[] |
    ^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$ | ^[A-Za-z_]\w*\( | :: | ^[&*@!]?[A-Za-z_]+(?:_[A-Za-z_]+)+$ | ^/(?:[\w.\-]+/)*[\w.\-]*$ | ^\.{1,2}/ | ^~/ |
    ^https?://[^\s:@]*$ | ^-- | ^\d{1,2}:\d\d | ^\d{4}-\d\d-\d\d | ^v?\d+(?:\.\d+)+$ | ^[\d.,:%+\-/]+$""",
    re.VERBOSE,
)
_CAMEL = re.compile(rb"^[a-z]+(?:[A-Z][a-z]+)+\d?$|^(?:[A-Z][a-z]+){2,}\d?$")


def _is_placeholder(value: bytes) -> bool:
    """Whether a value only stands for a secret: `<your-key>`, `${TOKEN}`, `xxxx`, `changeme`."""
    if value.strip().lower() in _NOT_SECRET:
        return True
    found = _PLACEHOLDER.search(value)
    # `wJalr...EXAMPLEKEY` has the shape of a key in full: masking it costs nothing.
    return found is not None and not (found[0].lower() == b"example" and len(value) >= 24 and _is_mixed(value))


def _is_secret_text(value: bytes, kind: str) -> bool:
    """Whether a quoted value given to a sensitive name is the secret itself."""
    if not 4 <= len(value) <= _MAX_VALUE or _is_placeholder(value):
        return False
    if any(byte <= 0x20 for byte in value):  # labels and messages; passphrases carry a digit or are not seen
        return kind == "password" and len(value) <= 64 and _is_mixed(value) and value.count(b" ") <= 5 and b". " not in value
    if kind == "password":
        return not _CODE.search(value) and len(value) >= 5 and not (value.isalpha() and _CAMEL.match(value))
    return len(value) >= 8 and _is_mixed(value) and not _CODE.search(value)


def _is_secret_word(value: bytes, kind: str, *, is_env: bool) -> bool:
    """Whether an unquoted value is the secret itself: harder, for code has names there.

    :param is_env: the line is of a .env file or a shell's export, where the value is always text.
    """
    if _is_placeholder(value) or _CODE.search(value) or len(value) > _MAX_VALUE:
        return False
    if is_env:
        return len(value) >= (5 if kind == "password" else 8) and (kind == "password" or _is_mixed(value))
    if not _is_mixed(value) or _CAMEL.match(value):
        return False
    return len(value) >= (6 if kind == "password" else 12)


def _is_mixed(value: bytes) -> bool:
    """Letters with digits, or 20 and more letters that no word has: what people and generators make of secrets."""
    has_letter = any(65 <= byte <= 90 or 97 <= byte <= 122 for byte in value)
    has_digit = any(48 <= byte <= 57 for byte in value)
    if has_letter and has_digit:
        return True
    return len(value) >= 20 and has_letter and not value.islower() and not value.isupper() and _n_distinct(value) >= 12


def _n_distinct(value: bytes) -> int:
    return len(set(value))


# ---------------------------------------------------------------------------- rules with a keyword of their own


def _urls(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"://")
    while at >= 0:
        found = _URL_USER.match(data, at + 3)
        if found is not None and not _is_placeholder(found["value"]):
            yield _span(found, "url-password")
        at = low.find(b"://", at + 3)


def _authorizations(data: bytes, low: bytes) -> Iterator[Span]:
    yield from _after_keyword(data, low, b"authorization", _AUTHORIZATION, "authorization")


def _bearers(data: bytes, low: bytes) -> Iterator[Span]:
    yield from _after_keyword(data, low, b"bearer", _BEARER, "bearer-token")


def _after_keyword(data: bytes, low: bytes, keyword: bytes, pattern: re.Pattern[bytes], kind: str) -> Iterator[Span]:
    at = low.find(keyword)
    while at >= 0:
        found = pattern.match(data, at + len(keyword))
        if found is not None:
            value = found["value"]
            if _is_mixed(value) and not _is_placeholder(value) and not _CODE.search(value):
                yield _span(found, kind)
        at = low.find(keyword, at + len(keyword))


def _key_blocks(data: bytes, low: bytes) -> Iterator[Span]:
    for found in _KEY_BLOCK.finditer(data):
        if found.end() - found.start() > 80:  # the bare header line is not a key
            yield found.start(), found.end(), "private-key"


def _netrc(data: bytes, low: bytes) -> Iterator[Span]:
    for found in _NETRC.finditer(data):
        if not _is_placeholder(found["value"]):
            yield _span(found, "password")


def _cookies(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"cookie")
    while at >= 0:
        header = _COOKIE.match(data, at + len(b"cookie"))
        end = at + len(b"cookie")
        if header is not None:
            for pair in _COOKIE_PAIR.finditer(data, header.start("pairs"), header.end("pairs")):
                value = pair["value"]
                if len(value) >= 12 and _is_mixed(value) and not _is_placeholder(value) and not _CODE.search(value):
                    yield _span(pair, "cookie")
            end = header.end()
        at = low.find(b"cookie", end)


def _curl_users(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"curl")
    while at >= 0:
        line_end = data.find(b"\n", at)
        found = _CURL_USER.search(data, at, line_end if line_end >= 0 else len(data))
        if found is not None and not _is_placeholder(found["value"]) and b"$" not in found["value"]:
            yield _span(found, "password")
        at = low.find(b"curl", at + 4)


def _short_flags(data: bytes, low: bytes) -> Iterator[Span]:
    if not any(program in low for program in (b"sshpass", b"docker", b"mysql", b"mariadb", b"redis-cli", b"mongo")):
        return
    for found in _SHORT_FLAG.finditer(data):
        value = found["value"]
        if not _is_placeholder(value) and not value.isdigit() and not _CODE.search(value):
            yield _span(found, "password")


def _jwts(data: bytes, low: bytes) -> Iterator[Span]:
    for found in _JWT.finditer(data):
        yield found.start(), found.end(), "jwt"


_KEYWORD_RULES: tuple[tuple[bytes, Callable[[bytes, bytes], Iterator[Span]]], ...] = (
    (b"://", _urls),
    (b"authorization", _authorizations),
    (b"bearer", _bearers),
    (b"-----begin", _key_blocks),
    (b"password ", _netrc),
    (b"cookie", _cookies),
    (b"curl", _curl_users),
    (b" -p", _short_flags),
    (b" -a", _short_flags),
    (b"eyj", _jwts),
)

__all__ = ["MARK", "Masked", "SecretMasker", "SecretsStatus", "own_spans"]
