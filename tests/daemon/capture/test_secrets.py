"""Secrets are masked in every shape that people and tools write them in, and ordinary text passes untouched."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant_daemon.capture.secret_rules import own_spans
from penchant_daemon.capture.secrets import Json, SecretMasker

# Compiled once for all tests, as for all data directories of a user.
RULES = Path(os.environ["XDG_CACHE_HOME"]) / "penchant" / "secret-rules"
RULES.mkdir(mode=0o700, parents=True, exist_ok=True)

# Put together here, so that no scanner of this repository takes them for keys.
AWS_ID = "AKIA" + "QYLPMN5HFIQR7XYA"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG" + "/bPxRfiCYzQ8LmN4vTk"
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
STRIPE = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"
GOOGLE = "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
SLACK = "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
NPM = "npm_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
HEX = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
BLOCK = "MIIEpAIBAAKCAQEAtestkeymaterial1234567890abcdefghijklmnop"

PLANTED = [  # text with {}, the secret that stands there
    ('password = "{}"', "hunter2horse"),
    ("PASSWORD='{}'", "S3cure!pass"),
    ("DB_PASSWORD={}", "tr0ub4dor&3"),
    ("export OPENAI_API_KEY={}", "sk-proj-" + "a1B2c3D4e5F6g7H8i9J0kLmN"),
    ("API_KEY: {}", HEX),
    ('{{"password": "{}"}}', "p4ssw0rd!x"),
    ('{{\\"password\\": \\"{}\\"}}', "p4ssw0rd!x"),
    ('{{"client_secret":"{}"}}', "Zx9-Qw8_Er7Ty6Ui5"),
    ("spring.datasource.password: {}", "Gr33nHouse77"),
    ("  password: {}\n  user: x", "Gr33nHouse77"),
    ("mysqldump --password={} db", "Kx82mQpl"),
    ("tool --password {} --verbose", "Kx82mQpl"),
    ('deploy --api-key "{}"', "9a8b7c6d5e4f3g2h"),
    ("Authorization: Bearer {}", "abcDEF123456ghiJKL789"),
    ('curl -H "Authorization: Basic {}" https://x.y', "dXNlcjpwYXNzdzByZA=="),
    ("headers={{'Authorization': 'token {}'}}", HEX),
    ("postgres://app:{}@db.internal:5432/x", "s3cr3tPw"),
    ('DATABASE_URL="mysql://root:{}@10.0.0.1/db"', "Qwerty99!"),
    ("redis://:{}@cache:6379", "hunter22"),
    ("Server=db;User Id=sa;Password={};Encrypt=true", "Str0ngPw!"),
    ("AccountName=x;AccountKey={};", "abcDEF123456ghiJKL789abcDEF123456ghiJKL789=="),
    ("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", BLOCK),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", BLOCK),
    ('"-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"', BLOCK),
    ("//registry.npmjs.org/:_authToken={}", NPM),
    ("_auth={}", "dXNlcjpwYXNzdzByZDEyMw=="),
    ("machine api.heroku.com login me@x.org password {}", "9c8b7a6d5e"),
    ("Cookie: sessionid={}; theme=dark", "8f14e45fceea167a5a36dedd4bea2543"),
    ("Set-Cookie: auth={}; HttpOnly", "abcdef1234567890ABCD"),
    ("curl -u admin:{} https://x", "S3same99"),
    ("aws_access_key_id={}", AWS_ID),
    ("aws_secret_access_key = {}", AWS_SECRET),
    ("my id is {}", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("use {} for it", GITHUB),
    ("{}", SLACK),
    ("the key {} stays", GOOGLE),
    ("stripe: {}", STRIPE),
    ("token {}", JWT),
    ("sk-ant key: {}", "sk-ant-" + "api03-abcDEF123456-ghiJKL789_mnopQRS"),
    ("the password is {} ok?", "hunter22"),
    ("the password for staging is {}.", "hunter22"),
    ("my api key is {}", "9f8e7d6c5b4a3928"),
    ("GET /v1?api_key={}&x=1", "9f8e7d6c5b4a3928"),
    ('os.environ["API_TOKEN"] = "{}"', "9f8e7d6c5b4a3928"),
    ('password: str = "{}"', "swordfish9"),
    ("const password = `{}`;", "swordfish9"),
    ('"password" => "{}"', "swordfish9"),
    ('<add key="ApiKey" value="{}" />', "9f8e7d6c5b4a3928"),
    ("<password>{}</password>", "swordfish9"),
    ("sshpass -p {} ssh me@x", "swordfish9"),
    ("mysql -u root -p{} db", "swordfish9"),
    ("docker login -u me -p {} reg.io", "swordfish9"),
    ("SECRET_KEY = '{}'", "django-insecure-#7k&9x2!abc"),
    ("ENV DB_PASS={}", "swordfish9"),
    ("JWT_SECRET={}", "mysupersecretjwtkey123"),
    ("X-Api-Key: {}", "9f8e7d6c5b4a3928aa"),
    ("Passwort: {}", "swordfish9"),
    ("contraseña: {}", "swordfish9"),
    ("é ü 漢字 password = '{}' 漢字", "hunter2horse"),
    ("İ PASSWORD='{}'", "hunter2horse"),
]

HARMLESS = [
    'password = os.environ["DB_PASSWORD"]',
    'password = "<your-password>"',
    "API_KEY=${API_KEY}",
    'api_key = "xxxxxxxx"',
    "token = get_token(user1)",
    "password: string",
    "max_tokens = 4096",
    '"password": "example123"',
    "use the --password option",
    "--token $TOKEN1",
    "password=config.password1",
    "The token is base64 encoded",
    "postgres://user:password@localhost/db",
    "https://x.org/a:b@c",
    "git@github.com:me/x.git",
    "password must be at least 8 characters",
    "secret: true",
    'tokenizer = "cl100k_base"',
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer <token>",
    'token_type = "bearer"',
    'password_field = "new-password1"',
    "Cookie: theme=dark",
    "commit 9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "sk-learn-is-a-library-for-python",
    "key: value1",
    "pass: 12, fail: 3",
    "tests pass: 45/45",
    "pw: 300px",
    "The quick brown fox jumps over the lazy dog; nothing to hide here.",
]


@pytest.fixture(scope="module")
def masker() -> SecretMasker:
    return SecretMasker(RULES)


@pytest.mark.parametrize(("shape", "secret"), PLANTED)
def test_a_planted_secret_is_gone_and_counted(masker: SecretMasker, shape: str, secret: str) -> None:
    masked = masker.mask(shape.format(secret))
    assert secret not in masked.text
    assert masked.n >= 1
    assert sum(masked.kinds.values()) == len(re.findall(r"\[secret:[a-z0-9-]+\]", masked.text))


@pytest.mark.parametrize(("shape", "secret"), PLANTED)
def test_what_stands_around_a_secret_is_kept(masker: SecretMasker, shape: str, secret: str) -> None:
    if "PRIVATE KEY" in shape or "stripe" in shape:  # the block's frame, and the prefix, belong to the secret
        return
    head, tail = (part.replace("{{", "{").replace("}}", "}") for part in shape.split("{}"))
    masked = masker.mask(shape.format(secret)).text
    assert masked.startswith(head)
    assert masked.endswith(tail)


@pytest.mark.parametrize(("shape", "secret"), PLANTED)
def test_masking_twice_is_masking_once(masker: SecretMasker, shape: str, secret: str) -> None:
    once = masker.mask(shape.format(secret))
    again = masker.mask(once.text)
    assert again.text == once.text
    assert again.n == 0


@pytest.mark.parametrize("text", HARMLESS)
def test_placeholders_and_code_are_left_alone(masker: SecretMasker, text: str) -> None:
    assert masker.mask(text).text == text


def test_a_masked_secret_keeps_its_kind_only(masker: SecretMasker) -> None:
    masked = masker.mask(f'password = "hunter2horse"\ngithub {GITHUB}')
    assert masked.text == 'password = "[secret:password]"\ngithub [secret:github-pat]'
    assert dict(masked.kinds) == {"password": 1, "github-pat": 1}


def test_json_is_masked_at_every_depth_and_by_the_name_of_its_field(masker: SecretMasker) -> None:
    value: Json = {
        "command": f"curl -u admin:S3same99 https://x && echo {GITHUB}",
        "env": [{"DB_PASSWORD": "tr0ub4dor9x"}, {"n": 3, "on": True, "none": None}],
        "note": "nothing to see",
    }
    masked, kinds = masker.mask_json(value)
    text = json.dumps(masked)
    assert "S3same99" not in text
    assert GITHUB not in text
    assert "tr0ub4dor9x" not in text
    assert masked["env"][1] == {"n": 3, "on": True, "none": None}  # type: ignore[index,call-overload]
    assert masked["note"] == "nothing to see"  # type: ignore[index,call-overload]
    assert sum(kinds.values()) == 3


def test_status_counts_every_kind_and_says_how_it_looks_for_them() -> None:
    masker = SecretMasker(RULES)
    assert masker.status().state == "waiting"
    masker.mask("plain talk with short words only")
    assert masker.status().state == "waiting"  # 50 MB are not loaded for that
    masker.mask('password = "hunter2horse"')
    masker.mask(f"{GITHUB} and {GITHUB}")
    status = masker.status()
    assert status.state == "ready"
    assert status.problem is None
    assert dict(status.masked) == {"password": 1, "github-pat": 2}


def test_without_the_scanner_our_rules_go_on_and_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kingfisher_sdk", None)  # as if it were not installed
    masker = SecretMasker(tmp_path / "rules")
    assert GITHUB not in masker.mask(f"use {GITHUB} now").text
    status = masker.status()
    assert status.state == "own rules only"
    assert status.problem is not None
    assert "cannot be imported" in status.problem


def test_an_unusable_cache_folder_costs_time_but_no_secret(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("a file where a folder should be")
    masker = SecretMasker(tmp_path / "rules")
    assert GITHUB not in masker.mask(f"use {GITHUB} now").text


def test_switched_off_it_passes_everything_and_says_so(tmp_path: Path) -> None:
    masker = SecretMasker(tmp_path, enabled=False)
    assert masker.mask('password = "hunter2horse"').text == 'password = "hunter2horse"'
    assert masker.mask_json({"password": "hunter2horse"})[0] == {"password": "hunter2horse"}
    assert masker.status().state == "off"


def test_many_threads_mask_at_once_and_the_first_waits_for_the_rules() -> None:
    masker = SecretMasker(RULES)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(masker.mask(f"token {GITHUB} here").text))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["token [secret:github-pat] here"] * 16


@given(st.text(max_size=400))
def test_any_text_without_a_secret_comes_back_as_it_was(text: str) -> None:
    spans = list(own_spans(text.encode("utf-8", "surrogatepass")))
    masked = SecretMasker(None, enabled=True)
    if spans or any(len(word) >= 15 for word in text.split()):
        return
    assert masked.mask(text).text == text


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_secret_is_found_wherever_it_stands(before: str, after: str) -> None:
    secret = "tr0ub4dor9x"
    text = f'{before}\npassword = "{secret}"\n{after}'
    data = text.encode("utf-8", "surrogatepass")
    at = data.index(b'password = "' + secret.encode()) + len(b'password = "')
    assert any(start <= at and at + len(secret) <= end for start, end, _ in own_spans(data))


def ordinary(shared_data: Path) -> Iterator[tuple[str, list[str]]]:
    talks = json.loads((shared_data / "locomo" / "dev.json").read_text("utf-8"))
    yield (
        "chat turns",
        [
            turn["text"]
            for talk in talks
            for turns in talk["conversation"].values()
            if isinstance(turns, list)
            for turn in turns
        ],
    )
    yield "functions", list(json.loads((shared_data / "cosqa" / "code_idx_map.txt").read_text("utf-8")))
    yield (
        "transcript lines",
        [
            line
            for path in sorted((shared_data / "transcripts").rglob("*.json*"))
            for line in path.read_text("utf-8", errors="replace").splitlines()
        ],
    )


def test_ordinary_chats_code_and_transcripts_hold_no_false_alarm(
    masker: SecretMasker, shared_data: Path
) -> None:
    alarms = {
        name: [masked.text for masked in map(masker.mask, texts) if masked.n]
        for name, texts in ordinary(shared_data)
    }
    assert alarms == {"chat turns": [], "functions": [], "transcript lines": []}


def test_masking_costs_less_than_half_a_millisecond_per_kilobyte(
    masker: SecretMasker, shared_data: Path
) -> None:
    # Measured 0.06 to 0.15 ms/kB; the bound only catches what became many times slower.
    masker.load()
    for name, texts in ordinary(shared_data):
        n_kb = sum(map(len, texts)) / 1000
        started = time.process_time()
        for text in texts:
            masker.mask(text)
        assert (time.process_time() - started) * 1000 / n_kb < 0.5, name
