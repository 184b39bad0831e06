"""Everything that the ranker raises on purpose.

RankerError
├── BadTrainingData           what was given to learn from is not what it should be; `.field` names it
├── TooFewOutcomes            nothing can be learned in this way yet; `.found` and `.needed`
└── ModelError                a model that cannot be used
    ├── ModelCorrupt          it is cut, changed or damaged
    ├── ModelForeign          it is no model of Penchant's, or of a newer Penchant's
    └── ModelNeedsFeatures    it reads features that are not computed; `.missing` names them
"""

from __future__ import annotations

from collections.abc import Sequence


class RankerError(Exception):
    """Base of all errors of the ranker."""


class BadTrainingData(RankerError):
    """What was given to learn from is not what it should be.

    :param field: the array or argument that is wrong.
    :param problem: what is wrong with it and what would be right.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class TooFewOutcomes(RankerError):
    """Nothing can be learned in this way yet.

    :param what: what is counted.
    :param found: how many there are.
    :param needed: how many there must be.
    """

    def __init__(self, what: str, found: int, needed: int) -> None:
        super().__init__(f"{found} {what}, and {needed} are needed")
        self.found = found
        self.needed = needed


class ModelError(RankerError):
    """A model that cannot be used."""


class ModelCorrupt(ModelError):
    """A model's text is cut, changed or damaged."""


class ModelForeign(ModelError):
    """A text is no model of Penchant's, or of a newer Penchant's."""


class ModelNeedsFeatures(ModelError):
    """A model reads features that are not computed.

    :param model: its name.
    :param missing: the features that it needs and does not get.
    """

    def __init__(self, model: str, missing: Sequence[str]) -> None:
        super().__init__(
            f"model {model} reads {', '.join(missing)}, which this version does not compute; train it anew"
        )
        self.missing = tuple(missing)
