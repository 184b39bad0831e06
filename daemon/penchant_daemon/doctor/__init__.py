"""Proof that Penchant works, rather than that a process lives: checks, what they find, and what mends it."""

from penchant_daemon.doctor.examine import examine
from penchant_daemon.doctor.finding import Examination, Finding, Verdict

__all__ = ["Examination", "Finding", "Verdict", "examine"]
