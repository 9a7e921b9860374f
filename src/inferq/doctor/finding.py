"""What a check finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may not when it matters."""
    ERROR = "error"
    """Jobs are refused, lost, or wait for ever."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: What was checked, as a name that stays the same: `redis-memory`.
        level: How bad it is.
        message: What was found, in a sentence; never a secret.
        remedy: What to do, in a sentence; empty where nothing is to be done.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    """Makes a finding that all is well."""
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, remedy: str) -> Finding:
    """Makes a finding that should be seen to."""
    return Finding(check, Level.WARNING, message, remedy)


def fail(check: str, message: str, remedy: str) -> Finding:
    """Makes a finding that must be seen to."""
    return Finding(check, Level.ERROR, message, remedy)
