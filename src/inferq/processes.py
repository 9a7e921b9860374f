"""Processes of this machine: whether one lives, and children that end with their parent."""

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "INFERQ_SUPERVISOR_PID"

_PR_SET_PDEATHSIG = 1


def is_running(pid: str) -> bool:
    """Whether there is a process of this id; none where it is no id."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def end_with_parent() -> None:
    """Makes this process end when the one that supervises it dies, however it dies.

    Linux only: elsewhere the children of a supervisor that was killed with -9 go on, and must be stopped by
    hand.
    """
    parent = os.environ.get(PARENT_VARIABLE)  # stays, for a worker that replaces itself and calls this anew
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it died before the line above
        sys.exit(0)
