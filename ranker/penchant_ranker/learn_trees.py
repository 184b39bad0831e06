"""Trees from a few hundred lists with outcomes on: LightGBM's LambdaMART on the learned weights, held to known signs.

The weights are the margin that the trees correct: where they say it all, few trees are made, and where they don't, the
trees need not learn them anew (NDCG@10 +0.102 after 350 recalls, +0.093 without the margin, +0.051 by weights alone, on
simulated people whose wishes depend on two things at once; benchmarks/ranker_learning.py).

LightGBM is imported here and only while training (0.3 s, 47 MB); what comes out is read and ranked with by `forest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadTrainingData, TooFewOutcomes
from .gate import list_weights, per_list
from .labels import GAINS, UNLABELLED, LabelledLists
from .learn_linear import Posterior
from .model import TrainedOn, TreeModel, tree_model

#: Below it weights alone do as well.
MIN_LISTS = 300
#: How many trees are tried; the fewest are made even when none are better than none, for the gate to judge.
N_TREES = (10, 25, 50, 100, 200)
N_FOLDS = 3
#: Chosen on LoCoMo by leaving one conversation out; monotone constraints cost nothing there.
PARAMETERS: Mapping[str, object] = {
    "objective": "lambdarank",
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "learning_rate": 0.05,
    "max_bin": 255,
    "use_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

_Floats = NDArray[np.float64]


def train_trees(
    lists: LabelledLists,
    margin: Posterior,
    name: str,
    seed: int,
    trained_on: TrainedOn | None = None,
    min_lists: int = MIN_LISTS,
) -> TreeModel:
    """A forest that ranks what was praised above what was used, that above what was not, and rejected ones last.

    :param margin: what `learn_linear.update` made of the same lists: the weights that the trees correct, and the signs
        that they are held to as well. With 1 for trust, no outcomes can make less trust rank higher.
    :param seed: the same lists and seed give the same model, to the letter.
    :param trained_on: what else to record; counts, seed and LightGBM's version are added.
    :raises TooFewOutcomes: with fewer than `min_lists` lists that put one row above another.
    :raises BadTrainingData: if rungs, weights or values are not what they should be. LightGBM would refuse some of it
        with a message of its own, and take the rest.
    """
    _check(lists)
    if margin.features != lists.features:
        raise BadTrainingData("margin", "weighs other features than the lists have")
    lists = lists.without_rows(lists.weights <= 0)
    lists = lists.where(lists.is_informative)
    if lists.n_lists < min_lists:
        raise TooFewOutcomes(
            "lists with outcomes that put one result above another", lists.n_lists, min_lists
        )
    weights_of = margin.sharpness * margin.mean
    n_trees, gain = _how_many(lists, weights_of, margin.signs, seed)
    booster, version = _boosted(lists, weights_of, margin.signs, seed, n_trees)
    about: dict[str, int | float | str] = {
        **(trained_on or {}),
        "lists": lists.n_lists,
        "rows": len(lists.rungs),
        "outcomes": int((lists.rungs != UNLABELLED).sum()),
        "seed": seed,
        "trees": n_trees,
        "gain_in_folds": round(gain, 4),
        "lightgbm": version,
    }
    return tree_model(name, weights_of.tolist(), booster.model_to_string(), margin.scaling, about)


def _how_many(
    lists: LabelledLists, weights_of: _Floats, signs: tuple[int, ...], seed: int
) -> tuple[int, float]:
    """How many trees do best on sessions that they were not trained on, and by how much NDCG@10 they beat the margin.

    The most that clear a standard error; where none does, the fewest that are tried.
    """
    fold = np.unique(lists.sessions, return_inverse=True)[1] % N_FOLDS
    gains = np.full((len(N_TREES), lists.n_lists), np.nan)
    for i in range(N_FOLDS):
        seen, unseen = lists.where(fold != i), lists.where(fold == i)
        if not seen.n_lists or not unseen.n_lists:
            return N_TREES[0], 0.0  # one session, or two: nothing to try it on
        booster, _ = _boosted(seen, weights_of, signs, seed, N_TREES[-1])
        values = unseen.values.astype(np.float64)
        before = per_list(values @ weights_of, unseen)[:, 0]
        for j, n in enumerate(N_TREES):
            corrected = values @ weights_of + np.asarray(
                booster.predict(values, num_iteration=n, num_threads=1)
            )
            gains[j, fold == i] = per_list(corrected, unseen)[:, 0] - before
    is_used = ~np.isnan(gains[0])
    weights = list_weights(lists)[is_used]
    if not weights.sum():
        return N_TREES[0], 0.0
    gains = gains[:, is_used]
    means = gains @ weights / weights.sum()
    errors = np.sqrt((gains - means[:, None]) ** 2 @ weights**2) / weights.sum()
    best = int(np.argmax(means - errors))
    if means[best] <= errors[best]:
        best = 0
    return N_TREES[best], float(means[best])


def _boosted(
    lists: LabelledLists, weights_of: _Floats, signs: tuple[int, ...], seed: int, n_trees: int
) -> tuple[Any, str]:
    """LightGBM's booster, whose trees correct the weighed sum; and LightGBM's version."""
    import lightgbm  # costs 0.3 s and 47 MB, and most daemons never come here

    # LightGBM's labels are places in this table. A rejected row gains nothing as well, but an unlabelled one is
    # worth a little more, or the two would never be told apart.
    gains = [float(gain + (rung >= UNLABELLED)) for rung, gain in enumerate(GAINS)]
    # One weight for all rows of a list: with a smaller one for the unlabelled, what a pair pulls up would not be what
    # it pushes down, and after some thirty trees no split is left (NDCG@10 +0.072 instead of +0.095 on simulated
    # people).
    is_labelled = lists.rungs != UNLABELLED
    n_labelled = np.maximum(np.bincount(lists.list_of, is_labelled, lists.n_lists), 1.0)
    weights = np.bincount(lists.list_of, lists.weights * is_labelled, lists.n_lists) / n_labelled
    values = lists.values.astype(np.float64)
    data = lightgbm.Dataset(
        values,
        label=lists.rungs,
        # The leaves' regularisation expects weights around 1, whatever age, trust and caps made of them.
        weight=np.repeat(weights / weights.mean(), np.diff(lists.offsets)),
        group=np.diff(lists.offsets),
        feature_name=list(lists.features),
        params={"verbosity": -1},
        init_score=values @ weights_of,
    )
    parameters: dict[str, Any] = {
        **PARAMETERS,
        "seed": seed,
        "label_gain": gains,
        "monotone_constraints": list(signs),
    }
    return lightgbm.train(parameters, data, num_boost_round=n_trees), str(lightgbm.__version__)


def _check(lists: LabelledLists) -> None:
    """What LightGBM must not see."""
    if not np.issubdtype(lists.rungs.dtype, np.integer):
        raise BadTrainingData("rungs", f"are {lists.rungs.dtype} where whole numbers are needed")
    if len(lists.rungs) and not 0 <= lists.rungs.min() <= lists.rungs.max() < len(GAINS):
        raise BadTrainingData("rungs", f"must be 0 to {len(GAINS) - 1}")
    if not (np.isfinite(lists.weights).all() and (lists.weights >= 0).all()):
        raise BadTrainingData("weights", "must be finite and not below 0")
    if not np.isfinite(lists.values).all():
        raise BadTrainingData("values", "must be finite")
    if lists.values.shape != (len(lists.rungs), len(lists.features)):
        raise BadTrainingData(
            "values",
            f"have shape {lists.values.shape} for {len(lists.rungs)} rows of {len(lists.features)} features",
        )
