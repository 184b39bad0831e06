"""
Turns a sentence-transformers model into an ONNX file, once, in a process of its own.

Run as `python -m penchant_daemon.models.export SOURCE TARGET [PARENT]`: torch costs 7 s and 400 MB to import, which
the daemon must never pay. The network that is written has four outputs, all from one pass:

- `pooled`  (n, dim) float32, the model's own sentence vector, rows L2-normalised;
- `h3`      (n, hidden) float32, the mean over tokens of hidden layer 3, rows L2-normalised. It keeps the
  speech act (statement, question, correction) that the last layers lose;
- `tokens`  (n, n_tokens, hidden) float32, the last hidden layer as it is;
- `signs`   (n, n_tokens, TOKEN_BITS) bool, what late interaction compares: each token L2-normalised, less the mean
  over everyday texts of our own, turned by a fixed rotation, above 0 or not.

Afterwards onnxruntime fuses the graph and moves the weights to `weights.bin`, which is mapped into memory
when loaded: rows of the vocabulary that no text used then cost no RAM. A second network with 8-bit weights encodes
questions (`quantise`); where a model's vectors do not survive that, there is none, and the first one does both.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.models.everyday import EVERYDAY
from penchant_daemon.models.parent import die_with
from penchant_daemon.models.quantise import quantise
from penchant_ranker import TOKEN_BITS, content_tokens

__all__ = ["export"]

MODEL_FILE = "model.onnx"
QUESTION_FILE = "question.onnx"
WEIGHTS_FILE = "weights.bin"
TOKENIZER_FILE = "tokenizer.json"
DETAILS_FILE = "details.json"

MIN_COSINE = 0.9999
#: Between a question's vectors of both networks, at worst. MiniLM has 0.97 on "ok" and 0.99 on sentences, and finds
#: as much by it (LoCoMo dev recall@10 0.834 for 0.836).
MIN_QUESTION_COSINE = 0.95
PROBES = (
    "Please always run the tests with pytest.",
    "Melanie (1:56 pm on 8 May, 2023): I painted a lake sunrise last year! It's special to me.",
    "def parse(line: str) -> dict[str, int]:\n    return {k: int(v) for k, v in line.split('=')}",
    "ok",
    "数据库在哪里？ where does it live, " * 60,
)
_LAYER_OF_SPEECH_ACTS = 3
_MAX_TOKENS = 256
_ROTATION_SEED = 0


def export(source: Path, target: Path) -> None:
    """
    Writes `model.onnx`, `weights.bin`, `question.onnx`, `tokenizer.json` and `details.json` into `target`.

    :raises RuntimeError: the written model disagrees with the original (cosine below 0.9999 on a probe).
    """
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(source), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    )
    model.eval()
    max_tokens = min(int(model.max_seq_length or _MAX_TOKENS), _MAX_TOKENS)
    tokenizer = model.tokenizer
    tokenizer.backend_tokenizer.save(str(target / TOKENIZER_FILE))

    modules: list[Any] = list(model)
    encoder: Any = modules[0].auto_model
    mean = torch.from_numpy(_mean_token(encoder, tokenizer, max_tokens))
    turn = torch.from_numpy(rotation(int(encoder.config.hidden_size)))

    class Network(torch.nn.Module):
        """The encoder and whatever modules the model adds after it."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.rest = torch.nn.ModuleList(modules[1:])
            self.mean = torch.nn.Buffer(mean)
            self.turn = torch.nn.Buffer(turn)

        def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any, Any, Any]:
            out = encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
            tokens = out.last_hidden_state
            features = {"token_embeddings": tokens, "attention_mask": attention_mask, "input_ids": input_ids}
            for module in modules[1:]:
                features = module(features)
            pooled = torch.nn.functional.normalize(features["sentence_embedding"], dim=1)
            layer = min(_LAYER_OF_SPEECH_ACTS, len(out.hidden_states) - 1)
            mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
            h3 = (out.hidden_states[layer] * mask).sum(1) / mask.sum(1)
            signs = (torch.nn.functional.normalize(tokens, dim=2) - self.mean) @ self.turn > 0
            return pooled, torch.nn.functional.normalize(h3, dim=1), tokens, signs

    network = Network().eval()
    sample = tokenizer(["a short text", "and one that is a little longer"], padding=True, return_tensors="pt")
    raw = target / "raw.onnx"
    with torch.no_grad():
        torch.onnx.export(
            network,
            (sample["input_ids"], sample["attention_mask"]),
            str(raw),
            input_names=["input_ids", "attention_mask"],
            output_names=["pooled", "h3", "tokens", "signs"],
            dynamic_axes={
                "input_ids": {0: "n", 1: "n_tokens"},
                "attention_mask": {0: "n", 1: "n_tokens"},
                "pooled": {0: "n"},
                "h3": {0: "n"},
                "tokens": {0: "n", 1: "n_tokens"},
                "signs": {0: "n", 1: "n_tokens"},
            },
            opset_version=17,
            dynamo=False,
        )
    _optimise(raw, target)
    raw.unlink()
    everyday = tokenizer(list(EVERYDAY), truncation=True, max_length=max_tokens)["input_ids"]
    quantise(
        target / MODEL_FILE, target / QUESTION_FILE, [np.asarray(row, dtype=np.int64) for row in everyday]
    )

    prompts = {key: text or "" for key, text in (model.prompts or {}).items()}
    default = prompts.get(model.default_prompt_name or "", "")
    details = {
        "dim": int(model.get_embedding_dimension() or 0),
        "hidden": int(encoder.config.hidden_size),
        "max_tokens": max_tokens,
        "pad_id": int(tokenizer.pad_token_id or 0),
        "query_prompt": prompts.get("query") or default,
        "document_prompt": prompts.get("document") or prompts.get("passage") or default,
        "min_cosine": _check(model, target, max_tokens),
        "question_cosine": _check_questions(target, max_tokens),
    }
    (target / DETAILS_FILE).write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")


def rotation(hidden: int) -> NDArray[np.float32]:
    """A fixed rotation that spreads what a token says evenly over TOKEN_BITS directions: (hidden, TOKEN_BITS).

    Of a longer token it keeps TOKEN_BITS orthogonal directions; a shorter one it turns within a larger room.
    """
    size = max(hidden, TOKEN_BITS)
    orthogonal, upper = np.linalg.qr(np.random.default_rng(_ROTATION_SEED).standard_normal((size, size)))
    turned = orthogonal * np.sign(np.diag(upper))  # or the signs would be those of the library's taste
    return np.ascontiguousarray(turned[:hidden, :TOKEN_BITS], dtype=np.float32)


def _mean_token(encoder: Any, tokenizer: Any, max_tokens: int) -> NDArray[np.float32]:
    """The mean of the L2-normalised content tokens of the everyday texts: (hidden,).

    Tokens of a transformer share a direction that says nothing; without it their angles tell more.
    """
    import torch

    found = []
    for text in EVERYDAY:
        cut = tokenizer(text, truncation=True, max_length=max_tokens, return_offsets_mapping=True)
        places = content_tokens(text, cut["offset_mapping"], max_tokens).places
        with torch.no_grad():
            out = encoder(
                input_ids=torch.tensor([cut["input_ids"]]),
                attention_mask=torch.tensor([cut["attention_mask"]]),
            )
        tokens = torch.nn.functional.normalize(out.last_hidden_state[0], dim=1)
        found.append(tokens.numpy()[places])
    return np.asarray(np.concatenate(found).mean(axis=0), dtype=np.float32)


def _optimise(raw: Path, target: Path) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target / MODEL_FILE)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS_FILE)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", "4096"
    )
    # Fused with its bias, Gelu runs slower than beside it: 6.7 ms a query against 6.1 (onnxruntime 1.32).
    ort.InferenceSession(
        str(raw), options, providers=["CPUExecutionProvider"], disabled_optimizers=["BiasGeluFusion"]
    )


def _check(model: Any, target: Path, max_tokens: int) -> float:
    """The smallest cosine between the original's vectors and the export's, over the probes."""
    import onnxruntime as ort

    model.max_seq_length = max_tokens
    originals = model.encode(list(PROBES), prompt="", normalize_embeddings=True)
    session = ort.InferenceSession(str(target / MODEL_FILE), providers=["CPUExecutionProvider"])
    rows = _probes(target, max_tokens)
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    pooled, h3 = session.run(["pooled", "h3"], {"input_ids": ids, "attention_mask": mask})
    if not np.isfinite(h3).all():
        raise RuntimeError("the exported model gives numbers that are not finite")
    worst = float((np.asarray(pooled) * originals).sum(1).min())
    for row, original in zip(rows, originals, strict=True):  # and one by one, as queries come
        one = np.array([row], dtype=np.int64)
        alone = session.run(["pooled"], {"input_ids": one, "attention_mask": np.ones_like(one)})[0]
        worst = min(worst, float(alone[0] @ original))
    if worst < MIN_COSINE:
        raise RuntimeError(f"the exported model differs from the original: cosine {worst:.6f} < {MIN_COSINE}")
    return worst


def _check_questions(target: Path, max_tokens: int) -> float | None:
    """The smallest cosine between both networks' vectors; None where it is too small, and the second is removed."""
    import onnxruntime as ort

    both = [
        ort.InferenceSession(str(target / file), providers=["CPUExecutionProvider"])
        for file in (MODEL_FILE, QUESTION_FILE)
    ]
    worst = 1.0
    for row in _probes(target, max_tokens):
        ids = np.array([row], dtype=np.int64)
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        one, other = (session.run(["pooled"], fed)[0][0] for session in both)
        worst = min(worst, float(one @ other)) if np.isfinite(other).all() else -1.0
    if worst >= MIN_QUESTION_COSINE:
        return round(worst, 6)
    (target / QUESTION_FILE).unlink()
    return None


def _probes(target: Path, max_tokens: int) -> list[list[int]]:
    """The token ids of each probe."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(target / TOKENIZER_FILE))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return [tokenizer.encode(probe).ids for probe in PROBES]


def main() -> int:
    """The process: two paths (and its parent's id) as arguments, the reason of a failure on standard error."""
    # Files only: a model that isn't complete on disk must fail here, not be fetched unseen.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    warnings.simplefilter("ignore")  # the tracer's remarks; what matters is checked by the probes
    if len(sys.argv) not in (3, 4):
        sys.stderr.write("usage: python -m penchant_daemon.models.export SOURCE TARGET [PARENT]\n")
        return 2
    die_with(int(sys.argv[3]) if len(sys.argv) == 4 else 0)
    export(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
