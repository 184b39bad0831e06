"""
Text to vectors, by onnxruntime and tokenizers only: torch is never imported in the daemon.

One session serves both recall and indexing. It runs on the calling thread (no thread pool), so that the
indexer's idle priority holds for its share and a query never waits in a queue behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.models.errors import ModelCorrupt, ModelMissing
from penchant_daemon.models.export import MODEL_FILE, TOKENIZER_FILE
from penchant_daemon.models.onnx_store import Export

__all__ = ["Embedder", "Encodings", "OnnxEmbedder"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Per pass, padding included. 512 tokens keep the working memory of a pass under 30 MB (4,096 take 260 MB) and
# a pass under 0.2 s, and encode as many texts a second as larger batches do (measured at 256 to 8,192).
MAX_TOKENS_PER_PASS = 512
# A token has 4 characters on average; text is cut here before it is split into tokens, so that a text of a
# megabyte costs no more than a long one.
_MAX_CHARS_PER_TOKEN = 32


@dataclass(frozen=True, slots=True)
class Encodings:
    """
    What one pass says about each text, in the order they were given.

    :param pooled: (n, dim) float32, rows L2-normalised.
    :param h3: (n, hidden) float32, mean of hidden layer 3, rows L2-normalised.
    :param token_ids: per text (k,) int64, special tokens included, at most `max_tokens`.
    :param tokens: per text (k, hidden) float32, last hidden layer, not normalised; None unless asked for.
    """

    pooled: Floats
    h3: Floats
    token_ids: list[Ints]
    tokens: list[Floats] | None = None


class Embedder(Protocol):
    """Anything that turns texts into vectors; safe to call from several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings: ...

    def encode_query(self, text: str) -> Floats: ...


class OnnxEmbedder:
    """
    An exported model.

    Texts longer than `max_tokens` (256 for MiniLM, about 1,000 characters of English) count by their
    beginning only; their words stay findable through the word index.
    """

    def __init__(self, export: Export, folder: Path) -> None:
        try:
            import onnxruntime as ort  # type: ignore[import-untyped]
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelMissing(
                f"{error.name} is not installed", "pip install onnxruntime tokenizers"
            ) from error
        self._export = export
        options = ort.SessionOptions()
        # Two threads gain 6 % on a query, and cost the priority of the indexer's own thread.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena keeps its high-water mark for ever: 475 MB after one batch of long texts, 145 MB without.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        )  # the rest is in the file
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # noqa: BLE001 - both libraries raise bare or private types
            raise ModelCorrupt(
                f"the exported model in {folder} can't be loaded: {error}", f"delete {folder} and start again"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(export.max_tokens)
        self._max_chars = export.max_tokens * _MAX_CHARS_PER_TOKEN

    @property
    def name(self) -> str:
        """The name of the model with the first digits of its hash: vectors of two models never mix."""
        return f"{self._export.name.replace('/', '--')}-{self._export.source_sha256[:8]}"

    @property
    def dim(self) -> int:
        """Length of a pooled vector."""
        return self._export.dim

    @property
    def hidden(self) -> int:
        """Length of a token vector and of an h3 vector."""
        return self._export.hidden

    @property
    def max_tokens(self) -> int:
        """How much of a text counts, special tokens included."""
        return self._export.max_tokens

    def token_ids(self, text: str) -> Ints:
        """(k,) int64: the tokens that are encoded, special ones included, cut at `max_tokens`."""
        return np.asarray(self._tokenizer.encode(text[: self._max_chars]).ids, dtype=np.int64)

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings:
        """
        The vectors of texts that are stored. Texts of similar length share a pass; the order given is kept.

        :param with_tokens: also return every token's vector (1.5 kB a token).
        :return: empty arrays of the right width for no texts.
        """
        # One by one: `encode_batch` would run on threads of its own, at full priority.
        return self.encode_tokens([self.document_ids(text) for text in texts], with_tokens=with_tokens)

    def document_ids(self, text: str) -> Ints:
        """(k,) int64: the tokens of a text that is stored, with the model's own prefix for such texts."""
        return self.token_ids(self._export.document_prompt + text)

    def encode_tokens(self, ids: list[Ints], *, with_tokens: bool = False) -> Encodings:
        """
        As `encode`, of texts that are cut into tokens already. Nearly all of it runs without the
        interpreter's lock, so a thread at idle priority may do it without ever holding up another.
        """
        pooled = np.zeros((len(ids), self.dim), dtype=np.float32)
        h3 = np.zeros((len(ids), self.hidden), dtype=np.float32)
        tokens: list[Floats] = [np.zeros((0, self.hidden), dtype=np.float32)] * len(ids)
        for batch in _passes([len(row) for row in ids]):
            outputs = self._run([ids[i] for i in batch], ["pooled", "h3"] + ["tokens"] * with_tokens)
            pooled[batch], h3[batch] = outputs[0], outputs[1]
            if with_tokens:
                for row, i in enumerate(batch):
                    tokens[i] = outputs[2][row, : len(ids[i])].copy()
        return Encodings(pooled, h3, ids, tokens if with_tokens else None)

    def encode_query(self, text: str) -> Floats:
        """(dim,) float32, L2-normalised: the vector of a question, on the calling thread."""
        return self._run([self.token_ids(self._export.query_prompt + text)], ["pooled"])[0].reshape(-1)

    def _run(self, rows: Sequence[Ints], outputs: list[str]) -> list[Floats]:
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self._export.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        found: list[Floats] = self._session.run(outputs, {"input_ids": ids, "attention_mask": mask})
        return found


def _passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices grouped by length, each group at most MAX_TOKENS_PER_PASS with padding (or one text alone)."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > MAX_TOKENS_PER_PASS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
