"""What can go wrong with an evaluation.

EvaluationError (a PenchantError)
├── DataMissing      a data set is not where it was looked for
└── DataInvalid      a question file is wrong; the message names the field
"""

from __future__ import annotations

from penchant_daemon.errors import PenchantError

__all__ = ["DataInvalid", "DataMissing", "EvaluationError"]


class EvaluationError(PenchantError):
    """Base of everything that this package raises."""


class DataMissing(EvaluationError):
    """A data set is not there; the hint says which file belongs where."""


class DataInvalid(EvaluationError):
    """A question file cannot be used; the message names file and field."""
