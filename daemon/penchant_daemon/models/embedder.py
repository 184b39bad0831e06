"""
Text to vectors, by onnxruntime and tokenizers only: torch is never imported in the daemon.

Texts are encoded by the float network, questions by one with 8-bit weights, which takes half the time. Both run on
the calling thread (no thread pool), so that the indexer's idle priority holds for its share and a query never waits
in a queue behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.models.errors import ModelCorrupt, ModelMissing
from penchant_daemon.models.export import MODEL_FILE, QUESTION_FILE, TOKENIZER_FILE
from penchant_daemon.models.onnx_store import Export
from penchant_ranker import MAX_TOKENS, TOKEN_BITS, ContentTokens, QueryTokens, content_tokens

__all__ = ["CutText", "Embedder", "Encodings", "OnnxEmbedder", "QueryEncoding"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
T = TypeVar("T")

TOKEN_BYTES = TOKEN_BITS // 8
# Per pass, padding included. 512 tokens keep the working memory of a pass under 30 MB (4,096 take 260 MB) and
# a pass under 0.2 s, and encode as many texts a second as larger batches do (measured at 256 to 8,192).
MAX_TOKENS_PER_PASS = 512
# A token has 4 characters on average; text is cut here before it is split into tokens, so that a text of a
# megabyte costs no more than a long one.
_MAX_CHARS_PER_TOKEN = 32


@dataclass(frozen=True, slots=True)
class CutText:
    """
    A text as the network takes it.

    :param ids: (k,) int64, special tokens included, at most `max_tokens`.
    :param kept: (m,) int64, the places of the tokens that are kept for late interaction.
    """

    ids: Ints
    kept: Ints


@dataclass(frozen=True, slots=True)
class QueryEncoding:
    """
    What one pass says about a question.

    :param pooled: (dim,) float32, L2-normalised.
    :param tokens: its content tokens as sign bits.
    """

    pooled: Floats
    tokens: QueryTokens


@dataclass(frozen=True, slots=True)
class Encodings:
    """
    What one pass says about each text, in the order they were given.

    :param pooled: (n, dim) float32, rows L2-normalised.
    :param h3: (n, hidden) float32, mean of hidden layer 3, rows L2-normalised.
    :param cut: the texts as they were cut.
    :param bits: per text (m, TOKEN_BYTES) uint8, the sign bits of its kept tokens.
    :param tokens: per text (k, hidden) float32, last hidden layer, not normalised; None unless asked for.
    """

    pooled: Floats
    h3: Floats
    cut: list[CutText]
    bits: list[NDArray[np.uint8]]
    tokens: list[Floats] | None = None


class Embedder(Protocol):
    """Anything that turns texts into vectors; safe to call from several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings: ...

    def encode_query(self, text: str) -> Floats: ...

    def encode_question(self, text: str) -> QueryEncoding: ...


class OnnxEmbedder:
    """
    An exported model.

    Texts longer than `max_tokens` (256 for MiniLM, about 1,000 characters of English) count by their
    beginning only; their words stay findable through the word index.
    """

    def __init__(self, export: Export, folder: Path) -> None:
        try:
            import onnxruntime as ort
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelMissing(
                f"{error.name} is not installed", "pip install onnxruntime tokenizers"
            ) from error
        self._export = export
        self._folder = folder
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
        self._session = partial(
            ort.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._lock = threading.Lock()
        self._texts: Any = None
        if export.question_sha256 is None:
            self._questions = self._of_texts()
        else:
            self._questions = self._loaded(self._session, QUESTION_FILE)
        self._tokenizer = self._loaded(Tokenizer.from_file, TOKENIZER_FILE)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(export.max_tokens)
        self._max_chars = export.max_tokens * _MAX_CHARS_PER_TOKEN

    def _loaded(self, load: Callable[[str], T], file: str) -> T:
        try:
            return load(str(self._folder / file))
        except Exception as error:  # noqa: BLE001 - onnxruntime and tokenizers raise private or bare types
            raise ModelCorrupt(
                f"the exported model in {self._folder} can't be loaded: {error}",
                f"delete {self._folder} and start again",
            ) from error

    def _of_texts(self) -> Any:
        """The float network, loaded when the first text comes: who only asks never pays for it."""
        with self._lock:
            if self._texts is None:
                self._texts = self._loaded(self._session, MODEL_FILE)
            return self._texts

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

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings:
        """
        The vectors of texts that are stored. Texts of similar length share a pass; the order given is kept.

        :param with_tokens: also return every token's vector (1.5 kB a token).
        :return: empty arrays of the right width for no texts.
        """
        # One by one: `encode_batch` would run on threads of its own, at full priority.
        return self.encode_cut([self.cut_document(text) for text in texts], with_tokens=with_tokens)

    def cut_document(self, text: str) -> CutText:
        """A text that is stored, cut into tokens, with the model's own prefix for such texts."""
        self._of_texts()  # loaded here and not by the thread at idle priority that encodes
        ids, content = self._cut(self._export.document_prompt, text, MAX_TOKENS)
        return CutText(ids, content.places)

    def encode_cut(self, texts: list[CutText], *, with_tokens: bool = False) -> Encodings:
        """
        As `encode`, of texts that are cut into tokens already. Nearly all of it runs without the
        interpreter's lock, so a thread at idle priority may do it without ever holding up another.
        """
        pooled = np.zeros((len(texts), self.dim), dtype=np.float32)
        h3 = np.zeros((len(texts), self.hidden), dtype=np.float32)
        bits = [np.zeros((0, TOKEN_BYTES), dtype=np.uint8)] * len(texts)
        tokens: list[Floats] = [np.zeros((0, self.hidden), dtype=np.float32)] * len(texts)
        for batch in _passes([len(text.ids) for text in texts]):
            outputs = self._run(
                self._of_texts(),
                [texts[i].ids for i in batch],
                ["pooled", "h3", "signs"] + ["tokens"] * with_tokens,
            )
            pooled[batch], h3[batch] = outputs[0], outputs[1]
            for row, i in enumerate(batch):
                bits[i] = np.packbits(outputs[2][row, texts[i].kept], axis=1)
                if with_tokens:
                    tokens[i] = outputs[3][row, : len(texts[i].ids)].copy()
        return Encodings(pooled, h3, texts, bits, tokens if with_tokens else None)

    def encode_query(self, text: str) -> Floats:
        """(dim,) float32, L2-normalised: the vector of a question, on the calling thread."""
        return self.encode_question(text).pooled

    def encode_question(self, text: str) -> QueryEncoding:
        """The vector and the tokens of a question, from one pass on the calling thread."""
        ids, content = self._cut(self._export.query_prompt, text, self.max_tokens)
        pooled, signs = self._run(self._questions, [ids], ["pooled", "signs"])
        bits = np.packbits(signs[0, content.places], axis=1)
        return QueryEncoding(pooled.reshape(-1), QueryTokens(bits, content.word_of, content.words))

    def _cut(self, prompt: str, text: str, limit: int) -> tuple[Ints, ContentTokens]:
        """The tokens of a text after the model's prompt, and which of them say something of the text itself."""
        whole = (prompt + text)[: self._max_chars]
        cut = self._tokenizer.encode(whole)
        spans = [(a - len(prompt), b - len(prompt)) if a >= len(prompt) else (0, 0) for a, b in cut.offsets]
        content = content_tokens(whole[len(prompt) :], spans, limit)
        return np.asarray(cut.ids, dtype=np.int64), content

    def _run(self, session: Any, rows: Sequence[Ints], outputs: list[str]) -> list[NDArray[Any]]:
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self._export.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        found: list[NDArray[Any]] = session.run(outputs, {"input_ids": ids, "attention_mask": mask})
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
