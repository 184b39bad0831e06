"""What ranks: weighed features or trees behind one protocol, and their text, read with suspicion."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import ModelCorrupt, ModelForeign, ModelNeedsFeatures
from .forest import END, Forest, forest_of, parse
from .hand_set import HandSet

Scaling: TypeAlias = Literal["best", "spread"]
#: Counts, seed and versions of what a model was made from; a number or a word for each.
TrainedOn: TypeAlias = Mapping[str, int | float | str]

FORMAT = "penchant-ranker-model"
FORMAT_VERSION = 1
MAX_MODEL_CHARS = 16_000_000
MAX_FEATURES = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FEATURE = re.compile(r"[a-z][a-z0-9_]{0,63}")

_Values: TypeAlias = NDArray[np.float32]
_Floats: TypeAlias = NDArray[np.float64]


class Model(Protocol):
    """What turns the features of candidates into scores, and says what each feature added.

    Values are scaled as `scaling` says, over all candidates of the recall (`linear.scaled`), both when it is
    trained and when it ranks. Columns are chosen by name: those that the model does not know are ignored, and
    a model older than a feature goes on ranking.
    """

    @property
    def name(self) -> str:
        """What impressions record."""

    @property
    def features(self) -> tuple[str, ...]:
        """What it was trained with, in its own order."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of its features that change a score."""

    @property
    def scaling(self) -> Scaling:
        """How values are scaled before it reads them."""

    @property
    def trained_on(self) -> TrainedOn:
        """What it was made from."""

    @property
    def bias(self) -> float:
        """The part of every score that no feature added."""

    def score(self, values: _Values, names: Sequence[str]) -> _Floats:
        """Scores, higher is better: (n,).

        :param values: (n, len(names)) scaled features, finite.
        :param names: what each column is.
        :raises ModelNeedsFeatures: if a feature that the model needs is not among the names.
        :raises ValueError: if the values do not fit the names or are not finite.
        """

    def contributions(self, values: _Values, names: Sequence[str]) -> _Floats:
        """What each column added: (n, len(names)); they and `bias` sum to the score. Raises as `score` does."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A sum of weighed features.

    :param weights: one for each feature.

    >>> model = LinearModel("mine", ("words", "date"), (2.0, 0.5), "best")
    >>> model.score(np.array([[1.0, 0.0, 0.5]], dtype=np.float32), ("date", "length", "words")).tolist()
    [1.5]
    """

    name: str
    features: tuple[str, ...]
    weights: tuple[float, ...]
    scaling: Scaling
    trained_on: TrainedOn = field(default_factory=dict)

    @classmethod
    def of(cls, hand_set: HandSet) -> LinearModel:
        """The hand-set sum as a model: the prior that learning starts from."""
        features = tuple(w.feature for w in hand_set.weights)
        return cls(hand_set.name, features, tuple(w.weight for w in hand_set.weights), hand_set.scaling)

    @property
    def bias(self) -> float:
        return 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(f for f, w in zip(self.features, self.weights, strict=True) if w)

    def score(self, values: _Values, names: Sequence[str]) -> _Floats:
        return np.asarray(_checked(values, names) @ self.weights_for(names))

    def contributions(self, values: _Values, names: Sequence[str]) -> _Floats:
        return np.asarray(_checked(values, names) * self.weights_for(names))

    def weights_for(self, names: Sequence[str]) -> _Floats:
        """The weights in the order of other columns, 0 for what the model does not name: (len(names),).

        :raises ModelNeedsFeatures: as `score`.
        """
        return _in_order(self, names)


@dataclass(frozen=True, slots=True)
class TreeModel:
    """A sum of weighed features, the margin, and of regression trees that correct it; made by `tree_model`.

    :param weights: one for each feature.
    :param body: LightGBM's text of the trees.
    :param splits: the features that the trees split on; the forest's columns.
    """

    name: str
    features: tuple[str, ...]
    weights: tuple[float, ...]
    scaling: Scaling
    body: str = field(repr=False)
    splits: tuple[str, ...]
    forest: Forest = field(repr=False, compare=False)
    trained_on: TrainedOn = field(default_factory=dict)

    @property
    def bias(self) -> float:
        return self.forest.bias

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(f for f, w in zip(self.features, self.weights, strict=True) if w or f in self.splits)

    def score(self, values: _Values, names: Sequence[str]) -> _Floats:
        margin = _checked(values, names) @ _in_order(self, names)
        return np.asarray(margin + self.forest.score(values[:, self._columns(names)]))

    def contributions(self, values: _Values, names: Sequence[str]) -> _Floats:
        out = np.asarray(_checked(values, names) * _in_order(self, names))
        columns = self._columns(names)
        out[:, columns] += self.forest.contributions(values[:, columns])
        return out

    def _columns(self, names: Sequence[str]) -> list[int]:
        return [names.index(f) for f in self.splits]


def tree_model(
    name: str, margin: Sequence[float], text: str, scaling: Scaling, trained_on: TrainedOn
) -> TreeModel:
    """A model of LightGBM's text, whose feature names are ours, on a margin.

    :param margin: a weight for each feature of the text.

    Importances and parameters are not kept.

    :raises ModelError: see `forest.parse`.
    """
    features, trees = parse(text)
    _check_features(features)
    if len(margin) != len(features):
        raise ModelCorrupt(f"{len(margin)} weights for {len(features)} features")
    used = sorted({int(c) for tree in trees for c in tree.feature})
    return TreeModel(
        name=name,
        features=features,
        weights=tuple(float(w) for w in margin),
        scaling=scaling,
        body=text.partition(f"\n{END}")[0] + f"\n{END}\n",
        splits=tuple(features[c] for c in used),
        forest=forest_of([tree.on(used) for tree in trees], len(used)),
        trained_on=trained_on,
    )


def write_model(model: LinearModel | TreeModel) -> str:
    """A model as text: one line of JSON that says what it is, a line for each weight, and the trees if it has any.

    >>> print(write_model(LinearModel("mine", ("words",), (2.0,), "best", {"lists": 12})).split("\\n")[1])
    words = 2.0
    """
    body = "".join(f"{f} = {float(w)!r}\n" for f, w in zip(model.features, model.weights, strict=True))
    kind = "linear"
    if isinstance(model, TreeModel):
        kind, body = "trees", body + model.body
    head = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "kind": kind,
        "name": model.name,
        "scaling": model.scaling,
        "features": list(model.features),
        "trained_on": dict(model.trained_on),
        "sha256": digest(body),
    }
    return f"{json.dumps(head, allow_nan=False)}\n{body}"


def digest(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal: kept beside a model, it is what `read_model` is given."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_model(
    text: str, sha256: str | None = None, computed: Sequence[str] | None = None
) -> LinearModel | TreeModel:
    """The model that `write_model` wrote.

    Nothing of the text is run, and no native code reads it; the digests are checked before anything else is.

    :param sha256: the digest of the whole text, as it was recorded when the model was made.
    :param computed: the features that are computed now; a model that needs another one is refused.
    :raises ModelForeign: if it is no model of Penchant's, or a newer Penchant's.
    :raises ModelCorrupt: if it is not what was written.
    :raises ModelNeedsFeatures: if it needs a feature that is not computed.
    """
    if len(text) > MAX_MODEL_CHARS:
        raise ModelForeign(f"{len(text)} characters, where a model has at most {MAX_MODEL_CHARS}")
    if sha256 is not None and digest(text) != sha256:
        raise ModelCorrupt(f"the model's SHA-256 is {digest(text)}, and {sha256} was recorded")
    line, _, body = text.partition("\n")
    head = _head(line)
    if head.get("sha256") != digest(body):
        raise ModelCorrupt("the model's SHA-256 is not the one that its first line names")
    name, scaling, features = _text(head, "name", _NAME), head.get("scaling"), _features(head)
    if scaling != "best" and scaling != "spread":
        raise ModelForeign(f"scaling is {scaling!r}, where “best” and “spread” are known")
    trained_on = _trained_on(head)
    lines = body.split("\n")[: len(features)]
    weights, trees = _weights(lines, features), body[sum(len(line) + 1 for line in lines) :]
    model: LinearModel | TreeModel
    if head.get("kind") == "linear":
        if trees:
            raise ModelCorrupt("something follows the weights")
        model = LinearModel(name, features, weights, scaling, trained_on)
    elif head.get("kind") == "trees":
        model = tree_model(name, weights, trees, scaling, trained_on)
        if model.features != features:
            raise ModelCorrupt("the trees name other features than the model's first line")
    else:
        raise ModelForeign(f"kind is {head.get('kind')!r}, where “linear” and “trees” are known")
    if computed is not None:
        _check_needs(model, computed)
    return model


def _check_needs(model: LinearModel | TreeModel, names: Sequence[str]) -> None:
    missing = [f for f in model.needs if f not in names]
    if missing:
        raise ModelNeedsFeatures(model.name, missing)


def _in_order(model: LinearModel | TreeModel, names: Sequence[str]) -> _Floats:
    """A model's weights in the order of other columns: (len(names),); all that it needs must be among them."""
    _check_needs(model, names)
    by_name = dict(zip(model.features, model.weights, strict=True))
    return np.array([by_name.get(name, 0.0) for name in names])


def _checked(values: _Values, names: Sequence[str]) -> _Values:
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"values of shape {values.shape} do not fit {len(names)} names")
    if not np.isfinite(values).all():
        raise ValueError("a feature's value is not finite")
    return values


def _head(line: str) -> dict[str, object]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ModelForeign("not a model of Penchant's: the first line is not JSON") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ModelForeign(f"not a model of Penchant's: the format is not {FORMAT}")
    if head.get("version") != FORMAT_VERSION:
        raise ModelForeign(
            f"format version {head.get('version')!r}, and this Penchant reads {FORMAT_VERSION}"
        )
    return head


def _text(head: dict[str, object], key: str, pattern: re.Pattern[str]) -> str:
    value = head.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ModelCorrupt(f"{key} is {value!r}")
    return value


def _features(head: dict[str, object]) -> tuple[str, ...]:
    found = head.get("features")
    if not isinstance(found, list) or not all(isinstance(f, str) for f in found):
        raise ModelCorrupt("features are no list of names")
    _check_features(found)
    return tuple(found)


def _check_features(features: Sequence[str]) -> None:
    if len(features) > MAX_FEATURES or len(set(features)) != len(features):
        raise ModelCorrupt(f"{len(features)} features, more than {MAX_FEATURES} or one of them twice")
    wrong = [f for f in features if not _FEATURE.fullmatch(f)]
    if wrong:
        raise ModelCorrupt(f"a feature is named {wrong[0]!r}")


def _trained_on(head: dict[str, object]) -> TrainedOn:
    found = head.get("trained_on")
    if not isinstance(found, dict) or not all(isinstance(v, int | float | str) for v in found.values()):
        raise ModelCorrupt("trained_on is no list of counts and versions")
    return found


def _weights(lines: Sequence[str], features: tuple[str, ...]) -> tuple[float, ...]:
    if [line.partition(" = ")[0] for line in lines] != list(features):
        raise ModelCorrupt("the weights are not those of the features that the first line names")
    try:
        weights = tuple(float(line.partition(" = ")[2]) for line in lines)
    except ValueError as error:
        raise ModelCorrupt("a weight is no number") from error
    if not all(map(math.isfinite, weights)):
        raise ModelCorrupt("a weight is not finite")
    return weights
