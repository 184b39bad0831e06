"""Writes `docs/features.md` and `docs/models/prior.md` from the code, and from what `train_prior` found.

python -m benchmarks.ranker_pages
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import penchant_ranker as ranker
from benchmarks.train_prior import RESULT

DOCS = Path(__file__).resolve().parents[1] / "docs"
FEATURES_PAGE, PRIOR_PAGE = DOCS / "features.md", DOCS / "models" / "prior.md"
_SETS = (ranker.CHAT, ranker.CHAT_BY_WORDS, ranker.CODE)
_UNITS = {"bm25": "BM25", "cosine": "cosine", "flag": "0 to 1"}

_FEATURES = """\
# Features

What ranking knows of a candidate. Written by `python -m benchmarks.ranker_pages` from
`ranker/penchant_ranker/features.py` and `hand_set.py`; a test compares.

Unit: “BM25” and “cosine” are made comparable over the candidates of a recall before they are weighed (divided by the
best value; for program text, z-scores); what is “0 to 1” is weighed as it is, and 0.5 says nothing there.

Weights: for chats and memories; for the same where there are no token vectors; for program text. A feature without a
weight is computed and kept with each recall, and counts once outcomes show that it tells good results from others.
[The model card](models/prior.md) has the reason of each weight.

| feature | what it says | unit | computed from | chat | by words | code |
| --- | --- | --- | --- | --- | --- | --- |
{rows}
"""

_PRIOR = """\
# The prior: what ranks on the first day

Written by `python -m benchmarks.ranker_pages` from `ranker/penchant_ranker/hand_set.py` and from
[prior.json](prior.json), which `python -m benchmarks.train_prior` measures; a test compares.

- **Names**: `{chat}`; `{by_words}` where there are no token vectors; `{code}` for program text.
- **Form**: a sum of weighed [features](../features.md). `hand_set.py` is the model; there is no other file of it.
- **Made** by hand, each weight for a reason. Which signals there are, and about how much each counts, was chosen with
  an eye on what single signals do on one half of LoCoMo and on BEAM; no weight was fitted to anything.
- **Used for** the order of recall until outcomes teach otherwise. It is what learning starts from and is held to, and
  what ranks again when something that was learned turns out worse.
- **Licence**: Apache-2.0, as all of Penchant. It holds no part of any data set.

## Weights

Each is what the best value of its feature adds to a score.

{weights}
## Figures

The real recall, each conversation in a store of its own: LoCoMo, {n_locomo} questions with evidence about 5
conversations; BEAM, {n_beam} about 10 chats. Of each recall the best {n_candidates} candidates are put in order.
Intervals are 95 %, drawing conversations anew. Measured {day}, seed {seed}. Other rankings stand beside it in
`penchant eval recall --dataset locomo`.

The others were fitted to texts whose licence allows it, held to the hand-set weights (listwise softmax; no weight
negative): {n_real} questions of LongMemEval and of our own example, and {n_pseudo} pseudo-queries that a seeded
generator makes of their turns. In brackets: the difference to the hand-set weights, with its interval.

| weights | l2 | queries | LoCoMo recall@10 | LoCoMo NDCG@10 | BEAM hit@10 | BEAM NDCG@10 |
| --- | --- | --- | --- | --- | --- | --- |
{alternatives}

One ships only if its NDCG@10 is better with the whole interval on both sets, and no figure is worse with the whole
interval. **{decision}.**

## Limits

- Made for chats between people, chats with an assistant and short memories, mostly in English. Program text has a sum
  of its own (`{code}`), which ranks where most of the nearest candidates are program text. It was not fitted either,
  and no alternative to it was tried: LoCoMo and BEAM say nothing about program text.
- It knows no taste. Kind, recency, whose agent wrote it and importance weigh nothing until outcomes say otherwise.
- A weight that is above 0 here is never learned to be below. Who wants the assistant's words rather than their own, or
  what was said rather than what was kept, gets these weights down to nothing, and no further.
- A memory's length says nothing to it: one that says more than another is not preferred for that.
- Standing instructions and preferences share few words with the questions that they matter to, and no sum of these
  features finds them well.

## What it was measured on

| data | licence | used for |
| --- | --- | --- |
| LoCoMo, one half | CC BY-NC 4.0 | measuring alone |
| BEAM 100K, one half | none stated | measuring alone |
| LongMemEval-S, 16 questions and 612 turns | MIT | fitting the alternatives |
| `examples/orion-questions.json` | Apache-2.0, ours | fitting the alternatives |

None of it is part of Penchant.
"""


def main() -> None:
    """Write both pages."""
    FEATURES_PAGE.write_text(features_page(), encoding="utf-8")
    PRIOR_PAGE.write_text(prior_page(json.loads(RESULT.read_text("utf-8"))), encoding="utf-8")


def features_page() -> str:
    """The table of features with the weights that the hand-set sums give them."""
    weights = [{w.feature: w.weight for w in hand_set.weights} for hand_set in _SETS]
    rows = []
    for f in ranker.FEATURES:
        cells = " | ".join(f"{own[f.name]:g}" if f.name in own else "" for own in weights)
        rows.append(f"| `{f.name}` | {f.meaning} | {_UNITS[f.unit]} | {f.source} | {cells} |")
    return _FEATURES.format(rows="\n".join(rows))


def prior_page(found: dict[str, Any]) -> str:
    """The model card of the hand-set weights.

    :param found: what `train_prior` wrote.
    """
    decision = found["decision"]
    return _PRIOR.format(
        chat=ranker.CHAT.name,
        by_words=ranker.CHAT_BY_WORDS.name,
        code=ranker.CODE.name,
        weights="\n".join(_weights(hand_set) for hand_set in _SETS),
        n_locomo=found["n_tests"]["locomo"],
        n_beam=found["n_tests"]["beam"],
        n_candidates=found["n_candidates"],
        day=found["measured_at"][:10],
        seed=found["seed"],
        n_real=found["n_real"],
        n_pseudo=found["n_pseudo"],
        alternatives="\n".join(_alternative(row) for row in found["rows"]),
        decision=decision[0].upper() + decision[1:],
    )


def _weights(hand_set: ranker.HandSet) -> str:
    lines = [f"### `{hand_set.name}`", "", "| feature | weight | reason |", "| --- | --- | --- |"]
    lines += [f"| `{w.feature}` | {w.weight:g} | {w.reason} |" for w in hand_set.weights]
    return "\n".join([*lines, ""])


def _alternative(row: dict[str, Any]) -> str:
    """One line of the table; the hand-set weights have no difference to themselves."""
    cells = [row["name"], "", ""]
    if row["fit"] is not None:
        cells[1:] = [f"{row['fit']['l2']:g}", f"{row['n_lists']:,}"]
    for name, measures in (("locomo", ("recall@10", "ndcg@10")), ("beam", ("hit@10", "ndcg@10"))):
        for measure in measures:
            f = row["on"][name][measure]
            apart = f" ({f['by']:+.3f} [{f['low']:+.3f}, {f['high']:+.3f}])" if row["fit"] is not None else ""
            cells.append(f"{f['value']:.3f}{apart}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
