"""Trees as LightGBM writes them: read with suspicion, evaluated in numpy, explained exactly.

Ranking with a learned forest needs no LightGBM: importing it takes 0.3 s and 47 MB, its `predict` of 300 candidates
and 200 trees 3 ms, and a text that was tampered with can end its process. Scores and contributions are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import ModelCorrupt, ModelForeign

#: Leaves of a tree: one bit each in a uint16. Training makes 15.
MAX_LEAVES = 16
MAX_TREES = 2_000
END = "end of trees"
#: Larger intermediate arrays leave the cache and are handed back to the system each time: twice as slow.
_ROWS_AT_ONCE = 64

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
_HEADER_KEYS = frozenset(
    ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective")
    + ("feature_names", "monotone_constraints", "feature_infos", "tree_sizes")
)
_TREE_KEYS = frozenset(
    ("num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type", "left_child")
    + ("right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight")
    + ("internal_count", "is_linear", "shrinkage")
)
#: Numerical splits, no missing values: bit 1 (where a missing value would go) may be either.
_DECISIONS = frozenset((0, 2))
_LOWEST_BIT = np.zeros(1 << MAX_LEAVES, dtype=np.uint8)
for _bit in range(MAX_LEAVES):
    _LOWEST_BIT[1 << _bit :: 2 << _bit] = _bit


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; child >= 0 is a node, < 0 the leaf `~child`; a value goes left when it is <= the threshold.

    :param feature: (n_nodes,) the column that each node looks at.
    :param threshold: (n_nodes,)
    :param children: (n_nodes, 2) left and right.
    :param value: (n_nodes + 1,) what each leaf adds to the score.
    :param count: (n_nodes + 1,) training rows that ended in each leaf, > 0.
    """

    feature: _Ints
    threshold: _Floats
    children: _Ints
    value: _Floats
    count: _Ints

    def on(self, columns: Sequence[int]) -> Tree:
        """The same tree over a choice of the columns, which holds all that it looks at."""
        place = {column: i for i, column in enumerate(columns)}
        return replace(self, feature=np.array([place[int(c)] for c in self.feature], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees whose values add up, laid out for fast evaluation; see `forest_of`.

    :param n_features: columns of the values.
    :param thresholds: for each column its distinct thresholds, ascending.
    :param alive: for each column (n_thresholds + 1, n_trees) uint16: which leaves can still be reached when so
        many of the thresholds are below the value; bit 0 is the leftmost leaf.
    :param leaves: (n_trees * MAX_LEAVES,) what each leaf adds, leftmost first.
    :param path_feature: (depth, n_leaves) the distinct columns on the way to each leaf.
    :param path_low: (depth, n_leaves) and `path_high`: the leaf is reached by values in (low, high].
    :param path_share: (depth, n_leaves) the share of training rows that passed the column's nodes.
    :param leaf_value: (n_leaves,)
    :param bias: the mean score of the training rows.
    """

    n_features: int
    thresholds: tuple[_Floats, ...]
    alive: tuple[NDArray[np.uint16], ...]
    leaves: _Floats
    path_feature: _Ints
    path_low: _Floats
    path_high: _Floats
    path_share: _Floats
    leaf_value: _Floats
    bias: float

    def score(self, values: NDArray[np.float32]) -> _Floats:
        """The sum of the trees: (n,) for (n, n_features) finite values.

        For each column, the thresholds below a value are counted once, and a table says which leaves of all
        trees are left; of those that all columns leave, the leftmost is where the value ends.

        Source: Lucchese et al. (2015), QuickScorer, algorithm 1; there the nodes are walked one by one.
        """
        n_trees = len(self.leaves) // MAX_LEAVES
        alive = np.full((len(values), n_trees), (1 << MAX_LEAVES) - 1, dtype=np.uint16)
        left = np.empty_like(alive)
        for column, (thresholds, table) in enumerate(zip(self.thresholds, self.alive, strict=True)):
            if len(thresholds):
                table.take(thresholds.searchsorted(values[:, column]), axis=0, out=left, mode="clip")
                np.bitwise_and(alive, left, out=alive)
        first = np.arange(0, len(self.leaves), MAX_LEAVES)
        scores = np.empty(len(values))
        for start in range(0, len(values), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            scores[part] = self.leaves.take(_LOWEST_BIT.take(alive[part]) + first).sum(axis=1)
        return scores

    def contributions(self, values: NDArray[np.float32]) -> _Floats:
        """What each column added to each score, against the mean of the training rows: (n, n_features).

        They and `bias` sum to the score. The same as LightGBM's `pred_contrib`.

        Source: Lundberg et al. (2018), Consistent individualized feature attribution for tree ensembles, with
        the sum over subsets as an integral over the multilinear extension (Owen 1972, Multilinear extensions of
        games); a leaf's is a polynomial, so that Gauss-Legendre quadrature is exact.
        """
        out = np.zeros((len(values), self.n_features))
        if not self.path_feature.size:
            return out
        nodes, weights = np.polynomial.legendre.leggauss((len(self.path_feature) + 1) // 2)
        quadrature = tuple(zip((nodes + 1.0) / 2.0, weights / 2.0, strict=True))
        columns = self.path_feature.ravel()
        for row, x in enumerate(np.asarray(values, dtype=np.float64)):
            passed = x[self.path_feature]
            is_open = ((passed > self.path_low) & (passed <= self.path_high)).astype(np.float64)
            gain = is_open - self.path_share
            others = np.zeros_like(gain)
            for at, weight in quadrature:
                factor = self.path_share + at * gain
                others += weight * factor.prod(axis=0) / factor
            added = gain * others * self.leaf_value
            out[row] = np.bincount(columns, added.ravel(), minlength=self.n_features)
        return out


def parse(text: str) -> tuple[tuple[str, ...], list[Tree]]:
    """The feature names and trees of a LightGBM model text, of the kind that `learn_trees` makes.

    What follows "end of trees" (importances, parameters) is not looked at.

    :raises ModelForeign: if it is not such a text.
    :raises ModelCorrupt: if anything in it cannot be: counts that differ, children that are no tree, numbers
        that are none.

    The lengths in `tree_sizes` are not looked at either: LightGBM seeks by them, we don't.
    """
    head, _, rest = text.partition("\n\n")
    if not head.startswith("tree\n"):
        raise ModelForeign("not a LightGBM model: it does not begin with “tree”")
    header = _pairs(head.split("\n")[1:], _HEADER_KEYS, "the header")
    names = tuple(header.get("feature_names", "").split())
    if header.get("version") != "v4" or header.get("num_class") != "1":
        raise ModelForeign("not a LightGBM model of version v4 with one class")
    if header.get("max_feature_idx") != str(len(names) - 1) or len(set(names)) != len(names):
        raise ModelCorrupt(f"{len(names)} feature names do not fit max_feature_idx")
    body, end, _ = rest.partition(f"\n{END}")
    if not end:
        raise ModelCorrupt("the trees are cut: “end of trees” is missing")
    trees = [_tree(block, i, len(names)) for i, block in enumerate(_blocks(body))]
    if len(trees) != len(header.get("tree_sizes", "").split()):
        raise ModelCorrupt(f"{len(trees)} trees where the header has other sizes")
    return names, trees


def forest_of(trees: Sequence[Tree], n_features: int) -> Forest:
    """Trees laid out for evaluation; see `Forest`."""
    splits: list[list[tuple[float, int, int]]] = [[] for _ in range(n_features)]
    leaves = np.zeros((len(trees), MAX_LEAVES))
    paths: list[tuple[dict[int, tuple[float, float, float]], float]] = []
    bias = 0.0
    for number, tree in enumerate(trees):
        for place, (leaf, path) in enumerate(_walk(tree, number, splits)):
            leaves[number, place] = tree.value[leaf]
            paths.append((path, float(tree.value[leaf])))
        bias += float(tree.value @ (tree.count / tree.count.sum()))
    thresholds, alive = zip(*(_column(s, len(trees)) for s in splits), strict=True) if splits else ((), ())
    depth = max((len(path) for path, _ in paths), default=0)
    # A column that does not occur on the way is passed by all: it takes no share and adds nothing.
    shape = (depth, len(paths))
    feature = np.zeros(shape, dtype=np.int64)
    low, high, share = np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape)
    for i, (path, _) in enumerate(paths):
        for j, (column, (lowest, highest, passed)) in enumerate(path.items()):
            feature[j, i], low[j, i], high[j, i], share[j, i] = column, lowest, highest, passed
    return Forest(
        n_features=n_features,
        thresholds=thresholds,
        alive=alive,
        leaves=leaves.ravel(),
        path_feature=feature,
        path_low=low,
        path_high=high,
        path_share=share,
        leaf_value=np.array([value for _, value in paths]),
        bias=bias,
    )


_Path = dict[int, tuple[float, float, float]]


def _walk(tree: Tree, number: int, splits: list[list[tuple[float, int, int]]]) -> list[tuple[int, _Path]]:
    """The leaves from left to right, each with its path: column -> (low, high, share of rows that passed).

    Adds each node to `splits` of its column: threshold, tree, and the leaves that are left when the value is
    above it.
    """
    found: list[tuple[int, _Path]] = []

    def go(child: int, path: _Path) -> int:
        """Walks one side; the training rows that came there."""
        if child < 0:
            found.append((~child, path))
            return int(tree.count[~child])
        column, threshold = int(tree.feature[child]), float(tree.threshold[child])
        low, high, share = path.get(column, (-np.inf, np.inf, 1.0))
        first = len(found)
        n_left = go(int(tree.children[child, 0]), {**path, column: (low, min(high, threshold), share)})
        middle = len(found)
        n_right = go(int(tree.children[child, 1]), {**path, column: (max(low, threshold), high, share)})
        for i, n in ((range(first, middle), n_left), (range(middle, len(found)), n_right)):
            for place in i:
                lowest, highest, passed = found[place][1][column]
                found[place][1][column] = (lowest, highest, passed * n / (n_left + n_right))
        gone = (1 << middle) - (1 << first)
        splits[column].append((threshold, number, ((1 << MAX_LEAVES) - 1) & ~gone))
        return n_left + n_right

    go(0 if len(tree.feature) else ~0, {})
    return found


def _column(splits: list[tuple[float, int, int]], n_trees: int) -> tuple[_Floats, NDArray[np.uint16]]:
    """One column's thresholds and the leaves that are left above each."""
    thresholds = np.unique(np.array([t for t, _, _ in splits], dtype=np.float64))
    alive = np.full((len(thresholds) + 1, n_trees), (1 << MAX_LEAVES) - 1, dtype=np.uint16)
    for threshold, tree, left in splits:
        alive[int(np.searchsorted(thresholds, threshold)) + 1, tree] &= left
    return thresholds, np.bitwise_and.accumulate(alive, axis=0)


def _pairs(lines: Sequence[str], known: frozenset[str], where: str) -> dict[str, str]:
    """`key=value` lines, each key known and once."""
    found: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or key not in known or key in found:
            raise ModelCorrupt(f"{where} has a line that does not belong there: {line[:60]!r}")
        found[key] = value
    return found


def _blocks(body: str) -> Iterator[list[str]]:
    """The lines of each tree, checked to be numbered from 0."""
    parts = body.strip("\n").split("\n\n\n")
    if len(parts) > MAX_TREES:
        raise ModelCorrupt(f"{len(parts)} trees, more than the {MAX_TREES} that are allowed")
    for i, part in enumerate(parts):
        lines = part.strip("\n").split("\n")
        if lines[0] != f"Tree={i}":
            raise ModelCorrupt(f"tree {i} does not begin with its number: {lines[0][:60]!r}")
        yield lines[1:]


def _tree(lines: Sequence[str], number: int, n_features: int) -> Tree:
    """One tree from its lines."""
    where = f"tree {number}"
    pairs = _pairs(lines, _TREE_KEYS, where)

    def ints(key: str, n: int) -> _Ints:
        try:
            found = [int(v) for v in pairs.get(key, "").split()]
            array = np.array(found, dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise ModelCorrupt(f"{where}: {key} holds what is no whole number") from error
        if len(array) != n:
            raise ModelCorrupt(f"{where}: {len(array)} values of {key} instead of {n}")
        return array

    def floats(key: str, n: int) -> _Floats:
        try:
            array = np.array([float(v) for v in pairs.get(key, "").split()], dtype=np.float64)
        except ValueError as error:
            raise ModelCorrupt(f"{where}: {key} holds what is no number") from error
        if len(array) != n or not np.isfinite(array).all():
            raise ModelCorrupt(f"{where}: {len(array)} values of {key} instead of {n} finite ones")
        return array

    n_leaves = int(ints("num_leaves", 1)[0])
    if not 1 <= n_leaves <= MAX_LEAVES:
        raise ModelCorrupt(f"{where}: {n_leaves} leaves, where 1 to {MAX_LEAVES} are allowed")
    if pairs.get("num_cat") != "0" or pairs.get("is_linear") != "0":
        raise ModelForeign(f"{where} has categorical splits or linear leaves, which Penchant does not make")
    n_nodes = n_leaves - 1
    feature = ints("split_feature", n_nodes)
    if n_nodes and (feature.min() < 0 or feature.max() >= n_features):
        raise ModelCorrupt(f"{where}: a split on a feature that the model does not name")
    if not set(ints("decision_type", n_nodes).tolist()) <= _DECISIONS:
        raise ModelForeign(f"{where} treats missing values, which Penchant's features do not have")
    children = np.stack([ints("left_child", n_nodes), ints("right_child", n_nodes)], axis=1)
    _check_shape(children, n_leaves, where)
    count = ints("leaf_count", n_leaves)
    if count.min() <= 0 or count.max() > 1 << 40:
        raise ModelCorrupt(f"{where}: a leaf without training rows")
    return Tree(feature, floats("threshold", n_nodes), children, floats("leaf_value", n_leaves), count)


def _check_shape(children: _Ints, n_leaves: int, where: str) -> None:
    """That every node and leaf is reached from the root exactly once."""
    n_nodes = n_leaves - 1
    seen: set[int] = set()
    ahead = [0] if n_nodes else [~0]
    while ahead:
        child = ahead.pop()
        if child in seen or not -n_leaves <= child < n_nodes:
            raise ModelCorrupt(f"{where}: its nodes are no tree")
        seen.add(child)
        if child >= 0:
            ahead += children[child].tolist()
    if len(seen) != n_nodes + n_leaves:
        raise ModelCorrupt(f"{where}: a node that is not reached")
