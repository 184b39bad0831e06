"""The embedder on the real packaged model: exported once, equal to the original, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from penchant_daemon.config import Config, Models
from penchant_daemon.models import ModelCorrupt, ModelMissing, OnnxEmbedder, open_embedder
from penchant_daemon.models.catalogue import PACKAGED
from penchant_daemon.models.embedder import MAX_TOKENS_PER_PASS, _passes
from penchant_daemon.models.export import MODEL_FILE, QUESTION_FILE, _check_questions, rotation
from penchant_daemon.models.onnx_store import Export, find_or_export
from penchant_daemon.models.open import embedder_key, onnx_cache_dir
from penchant_ranker import MAX_TOKENS, TOKEN_BITS

SOURCE_ROOTS = [str(Path(__file__).parents[3] / folder) for folder in ("store", "ranker", "daemon")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def embedder(home: Path) -> Iterator[OnnxEmbedder]:
    yield open_embedder(Config(), home)


def test_vectors_are_normalised_and_texts_of_like_meaning_are_close(embedder: OnnxEmbedder) -> None:
    texts = ["The queue runs on Postgres.", "We keep jobs in a database table.", "The cat sleeps in the sun."]
    found = embedder.encode(texts)
    assert found.pooled.dtype == np.float32
    assert found.pooled.shape == (3, embedder.dim) == (3, 384)
    assert np.allclose(np.linalg.norm(found.pooled, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(found.h3, axis=1), 1, atol=1e-5)
    query = embedder.encode_query("Which database holds the queue?")
    cosines = found.pooled @ query
    assert cosines[0] > cosines[1] > cosines[2]


def test_a_text_has_the_same_vector_alone_and_in_any_batch(embedder: OnnxEmbedder) -> None:
    texts = [f"note {i}: " + "we deploy on friday " * (i % 17) for i in range(40)]
    together = embedder.encode(texts, with_tokens=True)
    assert together.tokens is not None
    for i in (0, 7, 16, 39):
        alone = embedder.encode([texts[i]], with_tokens=True)
        assert alone.tokens is not None
        assert float(alone.pooled[0] @ together.pooled[i]) > 0.99999
        assert together.tokens[i].shape == (len(together.cut[i].ids), 384)
        assert np.allclose(alone.tokens[0], together.tokens[i], atol=1e-4)
    assert float(embedder.encode_query(texts[5]) @ together.pooled[5]) > 0.98


def test_no_texts_give_empty_arrays_of_the_right_width(embedder: OnnxEmbedder) -> None:
    found = embedder.encode([])
    assert found.pooled.shape == (0, 384)
    assert found.h3.shape == (0, 384)
    assert found.tokens is None


def test_an_empty_text_and_a_megabyte_are_encoded(embedder: OnnxEmbedder) -> None:
    found = embedder.encode(["", "word " * 200_000, "\u0000\ud7ff\U0001f600"])
    assert [len(cut.ids) <= embedder.max_tokens for cut in found.cut] == [True] * 3
    assert len(found.cut[1].ids) == embedder.max_tokens == 256
    assert [len(bits) for bits in found.bits] == [0, MAX_TOKENS, 0]
    assert np.isfinite(found.pooled).all()


def test_content_tokens_are_kept_as_the_signs_of_their_turned_vectors(embedder: OnnxEmbedder) -> None:
    """The share of differing bits is the angle of the vectors that were turned, up to what 384 signs can tell."""
    text = "Melanie (1:56 pm on 8 May, 2023): I painted the sunrise over the lake, and then we cooked."
    found = embedder.encode(
        [text, "We did the cooking after painting a picture of a sunrise."], with_tokens=True
    )
    assert found.tokens is not None
    words = ["melanie", "1", "56", "pm", "8", "may", "202", "##3", "painted", "sunrise", "lake", "cooked"]
    assert len(found.cut[0].kept) == len(found.bits[0]) == len(words)
    assert found.bits[0].dtype == np.uint8 and found.bits[0].shape[1] * 8 == TOKEN_BITS
    vectors, bits = [], []
    for i in range(2):
        kept = found.tokens[i][found.cut[i].kept]
        vectors.append(kept / np.linalg.norm(kept, axis=1, keepdims=True))
        bits.append(found.bits[i])
    # What is subtracted before the signs are taken is in the export; a mean over these few tells nearly the same.
    centred = [v - np.concatenate(vectors).mean(axis=0) for v in vectors]
    centred = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in centred]
    cosines = centred[0] @ centred[1].T
    differing = np.bitwise_count(bits[0][:, None] ^ bits[1][None]).sum(axis=2, dtype=np.int64)
    estimates = np.cos(np.pi * differing / TOKEN_BITS)
    assert float(np.corrcoef(cosines.ravel(), estimates.ravel())[0, 1]) > 0.9
    painted, cooked = words.index("painted"), words.index("cooked")
    second = ["cooking", "painting", "picture", "sunrise"]
    assert [second[j] for j in estimates.argmax(axis=1)[[painted, cooked]]] == ["painting", "cooking"]


def test_a_question_s_tokens_come_with_its_vector_and_are_near_those_of_the_same_text(
    embedder: OnnxEmbedder,
) -> None:
    """Questions are encoded with 8-bit weights, texts in float."""
    text = "Which ceramics did she paint?"
    asked, stored = embedder.encode_question(text), embedder.encode([text])
    assert float(asked.pooled @ stored.pooled[0]) > 0.98
    assert asked.tokens.words == ("ceramics", "paint")
    assert asked.tokens.word_of.tolist() == sorted(asked.tokens.word_of.tolist())
    differing = np.bitwise_count(asked.tokens.bits ^ stored.bits[0]).sum(axis=1)
    # Of 384: a value near 0 may fall to either side; between two tokens, 192 differ.
    assert differing.max() <= 30
    assert len(embedder.encode_question("?").tokens.bits) == 0


@pytest.mark.parametrize("hidden", [32, 384, 768])
def test_the_rotation_keeps_angles_whatever_the_width_of_a_model_is(hidden: int) -> None:
    turn = rotation(hidden)
    assert turn.shape == (hidden, TOKEN_BITS)
    assert np.array_equal(turn, rotation(hidden))
    small = min(hidden, TOKEN_BITS)
    square = turn @ turn.T if hidden == small else turn.T @ turn
    assert np.allclose(square, np.eye(small), atol=1e-5)


def test_a_pass_never_exceeds_its_budget_and_every_text_is_in_one() -> None:
    lengths = [256, 3, 3, 40, 256, 41, 39, 600, 1] * 5
    passes = list(_passes(lengths))
    assert sorted(i for batch in passes for i in batch) == list(range(len(lengths)))
    for batch in passes:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= MAX_TOKENS_PER_PASS


def test_the_export_agrees_with_sentence_transformers_and_says_so_in_its_manifest(home: Path) -> None:
    manifest = json.loads((home / "models" / embedder_key(Config(), home) / "manifest.json").read_text())
    assert manifest["min_cosine"] >= 0.9999
    assert manifest["source_sha256"] == PACKAGED[0].sha256
    assert 0.95 <= manifest["question_cosine"] < 1.0


def test_a_model_whose_questions_lose_too_much_in_8_bits_is_asked_in_float(
    tmp_path: Path, home: Path, embedder: OnnxEmbedder
) -> None:
    folder = home / "models" / embedder.name
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / QUESTION_FILE).write_bytes((tmp_path / MODEL_FILE).read_bytes())
    assert _check_questions(tmp_path, 256) == 1.0
    network = onnx.load(str(folder / QUESTION_FILE), load_external_data=False)
    steps = [tensor for tensor in network.graph.initializer if tensor.name.endswith("_step")]
    assert len(steps) == 36
    for tensor in steps[::2]:
        tensor.raw_data = (np.frombuffer(tensor.raw_data, dtype=np.float32) * 3).tobytes()
    (tmp_path / QUESTION_FILE).write_bytes(network.SerializeToString())
    assert _check_questions(tmp_path, 256) is None
    assert not (tmp_path / QUESTION_FILE).exists()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    in_float = OnnxEmbedder(
        Export(**{**manifest, "question_sha256": None, "question_cosine": None}), tmp_path
    )
    text = "Which ceramics did she paint?"
    assert float(in_float.encode_query(text) @ embedder.encode([text]).pooled[0]) > 0.99999


def test_the_daemon_side_never_imports_torch(home: Path, embedder: OnnxEmbedder) -> None:
    code = (
        "import sys, pathlib\n"
        "from penchant_daemon.config import Config\n"
        "from penchant_daemon.models import open_embedder\n"
        f"open_embedder(Config(), pathlib.Path({str(home)!r})).encode_query('hello')\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'llama_cpp'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {SOURCE_ROOTS!r}\n" + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_second_data_directory_starts_from_the_cache(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    other = open_embedder(Config(), tmp_path)
    assert other.name == embedder.name
    mine = tmp_path / "models" / other.name / "weights.bin"
    assert mine.stat().st_mode & 0o777 == 0o600
    assert float(other.encode_query("hello") @ embedder.encode_query("hello")) > 0.999999


@pytest.mark.parametrize("file", ["weights.bin", "question.onnx"])
def test_a_damaged_export_is_replaced(tmp_path: Path, embedder: OnnxEmbedder, file: str) -> None:
    first = open_embedder(Config(), tmp_path)
    weights = tmp_path / "models" / first.name / file
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    weights.unlink()  # it may be a hard link: the cache's copy stays whole
    weights.write_bytes(damaged)
    again = open_embedder(Config(), tmp_path)
    assert weights.read_bytes() != damaged
    assert float(again.encode_query("hello") @ embedder.encode_query("hello")) > 0.999999


def test_a_source_with_another_hash_is_corrupt(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"not the model")
    with pytest.raises(ModelCorrupt, match="expected 53aa5117"):
        find_or_export("m", tmp_path, weights, PACKAGED[0].sha256, "r", tmp_path / "home", tmp_path / "cache")
    assert not any((tmp_path / "home").rglob("*"))


def test_without_torch_the_first_use_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tmp_path / "without"
    without.mkdir()
    (without / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    monkeypatch.setenv("PYTHONPATH", str(without))
    model = PACKAGED[0]
    stale = tmp_path / "cache" / f".{model.name}-{model.sha256[:8]}.killed"
    stale.mkdir(parents=True)
    with pytest.raises(ModelMissing, match="No module named 'torch'") as caught:
        find_or_export(
            *(model.name, model.locate(), model.weights_file(), model.sha256, "r"),
            *(tmp_path / "home", tmp_path / "cache"),
        )
    assert caught.value.hint == "pip install sentence-transformers torch"
    assert not any(
        path.is_dir() for path in (tmp_path / "cache").iterdir()
    )  # nothing half-made, nothing stale


def test_an_unknown_model_says_how_to_get_it(tmp_path: Path) -> None:
    config = Config(models=Models(embedder="intfloat/e5-small-v2"))
    with pytest.raises(ModelMissing) as caught:
        open_embedder(config, tmp_path)
    assert "penchant models pull intfloat/e5-small-v2" in (caught.value.hint or "")


def test_a_language_model_is_no_embedder(tmp_path: Path) -> None:
    config = Config(models=Models(embedder="SmolLM2-135M-Instruct"))
    with pytest.raises(ModelMissing, match="is a local language model"):
        open_embedder(config, tmp_path)


def test_the_cache_lies_in_the_users_cache_directory() -> None:
    assert onnx_cache_dir().parent.name == "penchant"
