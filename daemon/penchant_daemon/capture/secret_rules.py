"""Our own rules for secrets: values given to sensitive names, headers, URLs, key blocks, providers' prefixes.

They look for what no provider's key shape can say: `password = "…"`, `API_KEY: …`, `--token …`, connection
strings. Each rule starts from a keyword that `in` finds in nanoseconds, so ordinary text costs next to
nothing, and each value passes guards against placeholders (`<your-key>`, `${TOKEN}`, `changeme`) and code
(`os.environ["KEY"]`).

Standard library only: the hook masks with these rules what it must leave in the spool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

Span: TypeAlias = tuple[int, int, str]  # first byte, byte after the last, kind

_MAX_VALUE = 4_096

PLAIN_KINDS = frozenset(("password", "token", "secret", "api-key", "key", "credential", "bearer-token"))

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
    rb"(?:[_\-. ]?(?:key|token|value|secret|string|prod(?:uction)?|dev|stag(?:e|ing)|live|test|root|admin"
    rb"|id(?=_secret)|v?\d{1,3})){0,3}",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(
    rb"\\{0,4}[\"'`\]]{0,2}"  # the end of a quoted or indexed name
    rb"(?:[ \t]{0,8}:[ \t]{0,8}(?:str|string|Optional\[str\]|String|bytes)"  # the type of a variable
    rb"(?:[ \t]*\|[ \t]*(?:None|null))?(?=[ \t]*=))?"
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
    rb"(?:[ \t]+(?:for|of|to|on)(?:[ \t]+[\w.@/-]{1,40}){1,4}?)?"
    rb"[ \t]+(?:is|was|are|=|ist|lautet|est|es)(?:[ \t]+now)?:?[ \t]+",
    re.IGNORECASE,
)

_URL_USER = re.compile(rb"[^\s/?#@:\"'`<>\\]{0,200}:(?P<value>[^\s/@\"'`<>]{1,300})@(?=[\w\[.-])")
_AUTHORIZATION = re.compile(
    rb"\\{0,4}[\"'`\]]{0,2}[ \t]{0,4}[:=,][ \t]{0,4}\\{0,4}[\"'`]?"
    rb"(?:(?:bearer|basic|token|apikey|bot|key)[ \t:=]+)?"
    rb"(?P<value>[A-Za-z0-9._~+/=\-]{8,4096})",
    re.IGNORECASE,
)
_BEARER = re.compile(rb"[ \t]+(?P<value>[A-Za-z0-9._~+/=\-]{12,4096})")
_KEY_BLOCK = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:[\s\S]{0,40000}?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\:,.\-]*)",
)
_NETRC = re.compile(
    rb"(?:machine[ \t]+\S+|default)\s+(?:(?:login|user)\s+\S+\s+)?password\s+(?P<value>\S{4,300})", re.I
)
_COOKIE = re.compile(
    rb"\\{0,4}[\"'`\]]{0,2}[ \t]{0,4}[:=][ \t]{0,4}\\{0,4}[\"'`]?(?P<pairs>[^\r\n\"'`]{8,8192})"
)
_COOKIE_PAIR = re.compile(rb"(?P<name>[\w.\-]{1,100})=(?P<value>[^;,\s]{8,4096})")
_CURL_USER = re.compile(
    rb"[ \t](?:-u|--user|--proxy-user)(?:=|[ \t]*)[\"']?[^\s:\"'$<]{1,100}:(?P<value>[^\s\"'@]{3,300})"
)
_SHORT_FLAG = re.compile(
    rb"\b(?:sshpass|docker[ \t]+login\b[^\n]{0,200}?|(?:mysql|mariadb)[\w-]*\b[^\n]{0,200}?(?=[ \t]-p\S)"
    rb"|(?:redis-cli|mongo\w*)\b[^\n]{0,200}?)"
    rb"[ \t]+-(?:p|a)[ \t]?[\"']?(?P<value>[^\s\"'$<-][^\s\"']{3,300})"
)
_JWT = re.compile(rb"eyJ[A-Za-z0-9_\-]{8,4096}\.eyJ[A-Za-z0-9_\-]{8,8192}(?:\.[A-Za-z0-9_\-]{0,4096})?")

# Prefix (as the provider writes it) -> the whole token and its kind. Looser than Kingfisher's rules on
# purpose: a shortened or re-issued key of a known provider is still a key.
_PREFIXED: tuple[tuple[bytes, re.Pattern[bytes], str], ...] = (
    (b"AKIA", re.compile(rb"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"), "aws-access-key"),
    (b"ASIA", re.compile(rb"(?<![A-Za-z0-9])ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"), "aws-access-key"),
    (b"AIza", re.compile(rb"(?<![A-Za-z0-9])AIza[A-Za-z0-9_\-]{30,45}"), "google-api-key"),
    (
        b"sk-",
        re.compile(rb"(?<![A-Za-z0-9_-])sk-(?:ant-|proj-|or-|svcacct-|live-|test-)?[A-Za-z0-9_\-]{16,300}"),
        "api-key",
    ),
    (b"k_live_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{10,200}"), "stripe-key"),
    (b"k_test_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_test_[A-Za-z0-9]{10,200}"), "stripe-key"),
    (b"whsec_", re.compile(rb"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{16,200}"), "stripe-key"),
    (b"gh", re.compile(rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{20,255}"), "github-token"),
    (b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{20,255}"), "github-token"),
    (b"glpat-", re.compile(rb"glpat-[A-Za-z0-9_\-.]{16,100}"), "gitlab-token"),
    (b"xox", re.compile(rb"xox[abeoprs]-[A-Za-z0-9\-]{10,300}"), "slack-token"),
    (
        b"hooks.slack.com",
        re.compile(rb"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,100}"),
        "slack-webhook",
    ),
    (b"npm_", re.compile(rb"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{30,60}"), "npm-token"),
    (b"pypi-", re.compile(rb"(?<![A-Za-z0-9_-])pypi-[A-Za-z0-9_\-]{40,300}"), "pypi-token"),
    (b"hf_", re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,60}"), "huggingface-token"),
    (
        b"SG.",
        re.compile(rb"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_\-]{16,40}\.[A-Za-z0-9_\-]{30,60}"),
        "sendgrid-key",
    ),
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
        if data[name_end : name_end + 1] not in _NAME_BYTES and (
            kind != "pass" or not data[at - 1 : at].isalpha()
        ):
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
            if is_call and (kind != "password" or not _is_mixed(quoted["value"])):
                return None
            return _span(quoted, kind) if _is_secret_text(quoted["value"], kind) else None
        if sign in (b"==", b"===", b"|", b"->", b"(") or (kind == "pass" and sign != b"="):
            return None
        if sign == b">" and data[data.rfind(b"<", 0, name_start) + 1 : name_start].strip(_WORD_BYTES):
            return None  # not an XML element's name
        in_query = before in (b"?", b"&") or _is_in_query(data, name_start)
        bare = (_BARE_IN_QUERY if in_query else _BARE).match(data, at)
        if bare is None or not _is_secret_word(
            bare[0], kind, is_env=_is_env_line(data, name_start, sign, at)
        ):
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
        return (
            _span(quoted, kind)
            if b" " not in value and _is_mixed(value) and _is_secret_text(value, kind)
            else None
        )
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
    """Whether the value is text, not code: a line of a .env file, a shell's export, a connection string."""
    if sign != b"=" or data[value_start - 1 : value_start] != b"=":
        return False
    start = name_start
    while start > 0 and (data[start - 1 : start].isalnum() or data[start - 1 : start] in (b"_", b".", b"-")):
        start -= 1
    name = data[start:value_start]
    line = data[data.rfind(b"\n", 0, start) + 1 : start].strip().lower()
    is_upper = name.upper() == name
    return is_upper or line in (b"export", b"set", b"env", b"$env:") or data[start - 1 : start] == b";"


_NOT_SECRET = frozenset(
    (
        b"password passwd pwd pass passphrase passcode secret secrets token tokens key keys apikey "
        b"api_key api-key access_key string str text bytes number integer int float bool boolean object "
        b"array list dict none null nil undefined true false yes no on off required optional invalid "
        b"missing unknown default empty value values name username user users admin root login auth "
        b"bearer basic oauth oauth2 jwt hidden input field label type path file url uri email todo tbd "
        b"fixme n/a env environment prompt stdin changed updated wrong correct incorrect expired revoked "
        b"valid test testing foo bar baz foobar changeit kennwort passwort contrasena mot_de_passe hash "
        b"hashed md5 sha1 sha256 sha512 bcrypt argon2 argon2id base64 utf8 utf-8 utf16 ascii hex hex16 "
        b"latin1 uuid4 uuid v1 v2 v3 http2 es256 rs256 hs256 ed25519 rsa2048 rsa4096 cl100k python3 gpt2 "
        b"word2vec "
    ).split()
)
_PLACEHOLDER = re.compile(
    rb"""
    [<\[{(]{1,2}[^<>]*[>\]})]{1,2}$ | \$\{ | \$\( | \{\{ | %\( | %[sdr]\b | ^\$[A-Za-z_] | ^%\w+%$
    | ^\{[\w.]*\}$
    | \*{3} | \.\.\. | \xe2\x80\xa6 | x{4} | \?{3} | _{4} | -{5} | ^(.)\1+$ | \\u\{ | \[secret:
    | example | changeme | change[-_ ]me | placeholder | redacted | masked | dummy
    | \byour\b | ^your | [-_.]your[-_.] | insert[-_ ] | replace[-_ ]
    | (?:my|some|the|new|old|enter|test)[-_ ]?(?:api|secret|password|token|key|access)
    | 1234567890?$ | ^0+$ | ^abc123?$ | abcdef(?:gh)?$ | lorem | goes[-_ ]here | [-_ ]here$
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Expressions, paths, addresses, dates, versions, numbers: what code and prose give to sensitive names.
_CODE = re.compile(
    rb"""
    ^(?:self|this|os|sys|process|config|conf|settings?|args?|opts?|options|params?|env|environ|req|request|res
    |response|ctx|app|user|data|kwargs|props|state|session|secrets?|vault|credentials?|flags?|cfg|event|body
    |payload|row|form|item)[.\[]
    | ^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$ | ^[A-Za-z_]\w*\( | :: | ^[&*@!]?[A-Za-z_]+(?:_[A-Za-z_]+)+$
    | ^/(?:[\w.\-]+/)*[\w.\-]*$ | ^\.{1,2}/ | ^~/ | ^https?://[^\s:@]*$ | ^--
    | ^\d{1,2}:\d\d | ^\d{4}-\d\d-\d\d | ^v?\d+(?:\.\d+)+$ | ^[\d.,:%+\-/]+$
    """,
    re.VERBOSE,
)
_CAMEL = re.compile(rb"^[a-z]+(?:[A-Z][a-z]+)+\d?$|^(?:[A-Z][a-z]+){2,}\d?$")


def is_placeholder(value: bytes) -> bool:
    """Whether a value only stands for a secret: `<your-key>`, `${TOKEN}`, `xxxx`, `changeme`."""
    if value.strip().lower() in _NOT_SECRET:
        return True
    found = _PLACEHOLDER.search(value)
    # `wJalr...EXAMPLEKEY` has the shape of a key in full: masking it costs nothing.
    return found is not None and not (
        found[0].lower() == b"example" and len(value) >= 24 and _is_mixed(value)
    )


def _is_secret_text(value: bytes, kind: str) -> bool:
    """Whether a quoted value given to a sensitive name is the secret itself."""
    if not 4 <= len(value) <= _MAX_VALUE or is_placeholder(value):
        return False
    if any(byte <= 0x20 for byte in value):  # labels and messages, unless it carries a digit
        return (
            kind == "password"
            and len(value) <= 64
            and _is_mixed(value)
            and value.count(b" ") <= 5
            and b". " not in value
        )
    if kind == "password":
        return not _CODE.search(value) and len(value) >= 5 and not (value.isalpha() and _CAMEL.match(value))
    return len(value) >= 8 and _is_mixed(value) and not _CODE.search(value)


def _is_secret_word(value: bytes, kind: str, *, is_env: bool) -> bool:
    """Whether an unquoted value is the secret itself: harder, for code has names there.

    :param is_env: the line is of a .env file or a shell's export, where the value is always text.
    """
    if is_placeholder(value) or _CODE.search(value) or len(value) > _MAX_VALUE:
        return False
    if is_env:
        return len(value) >= (5 if kind == "password" else 8) and (kind == "password" or _is_mixed(value))
    if not _is_mixed(value) or _CAMEL.match(value):
        return False
    return len(value) >= (6 if kind == "password" else 12)


def _is_mixed(value: bytes) -> bool:
    """Letters with digits, or 20 and more letters that no word has: what people and generators write."""
    has_letter = any(65 <= byte <= 90 or 97 <= byte <= 122 for byte in value)
    has_digit = any(48 <= byte <= 57 for byte in value)
    if has_letter and has_digit:
        return True
    return (
        len(value) >= 20
        and has_letter
        and not value.islower()
        and not value.isupper()
        and _n_distinct(value) >= 12
    )


def _n_distinct(value: bytes) -> int:
    return len(set(value))


def _urls(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"://")
    while at >= 0:
        found = _URL_USER.match(data, at + 3)
        if found is not None and not is_placeholder(found["value"]):
            yield _span(found, "url-password")
        at = low.find(b"://", at + 3)


def _authorizations(data: bytes, low: bytes) -> Iterator[Span]:
    yield from _after_keyword(data, low, b"authorization", _AUTHORIZATION, "authorization")


def _bearers(data: bytes, low: bytes) -> Iterator[Span]:
    yield from _after_keyword(data, low, b"bearer", _BEARER, "bearer-token")


def _after_keyword(
    data: bytes, low: bytes, keyword: bytes, pattern: re.Pattern[bytes], kind: str
) -> Iterator[Span]:
    at = low.find(keyword)
    while at >= 0:
        found = pattern.match(data, at + len(keyword))
        if found is not None:
            value = found["value"]
            if _is_mixed(value) and not is_placeholder(value) and not _CODE.search(value):
                yield _span(found, kind)
        at = low.find(keyword, at + len(keyword))


def _key_blocks(data: bytes, low: bytes) -> Iterator[Span]:
    for found in _KEY_BLOCK.finditer(data):
        if found.end() - found.start() > 80:  # the bare header line is not a key
            yield found.start(), found.end(), "private-key"


def _netrc(data: bytes, low: bytes) -> Iterator[Span]:
    for found in _NETRC.finditer(data):
        if not is_placeholder(found["value"]):
            yield _span(found, "password")


def _cookies(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"cookie")
    while at >= 0:
        header = _COOKIE.match(data, at + len(b"cookie"))
        end = at + len(b"cookie")
        if header is not None:
            for pair in _COOKIE_PAIR.finditer(data, header.start("pairs"), header.end("pairs")):
                value = pair["value"]
                if (
                    len(value) >= 12
                    and _is_mixed(value)
                    and not is_placeholder(value)
                    and not _CODE.search(value)
                ):
                    yield _span(pair, "cookie")
            end = header.end()
        at = low.find(b"cookie", end)


def _curl_users(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"curl")
    while at >= 0:
        line_end = data.find(b"\n", at)
        found = _CURL_USER.search(data, at, line_end if line_end >= 0 else len(data))
        if found is not None and not is_placeholder(found["value"]) and b"$" not in found["value"]:
            yield _span(found, "password")
        at = low.find(b"curl", at + 4)


def _short_flags(data: bytes, low: bytes) -> Iterator[Span]:
    if not any(
        program in low for program in (b"sshpass", b"docker", b"mysql", b"mariadb", b"redis-cli", b"mongo")
    ):
        return
    for found in _SHORT_FLAG.finditer(data):
        value = found["value"]
        if not is_placeholder(value) and not value.isdigit() and not _CODE.search(value):
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


__all__ = ["PLAIN_KINDS", "Span", "is_placeholder", "own_spans"]
