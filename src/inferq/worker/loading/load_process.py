"""Loads models in a process of its own, to see whether it survives.

`python -m inferq.worker.loading.load_process`: its arguments are pairs of the name of a version, or nothing,
and a folder.
"""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import batched
from pathlib import Path

import structlog

from inferq.models.repository.repository_scan import ModelFolder
from inferq.processes import PARENT_VARIABLE, end_with_parent
from inferq.settings import load_settings
from inferq.terminal import make_printable
from inferq.worker.loading.load_failures import explain_death, explain_limit
from inferq.worker.loading.model_preparation import prepare

START_SECONDS = 15.0
"""How much longer the process may take, to start."""
_CHECK_SECONDS = 0.2
_NICENESS = 10
"""Jobs that run meanwhile go first."""

log = structlog.get_logger()


def try_loading(
    folders: Sequence[ModelFolder],
    limit_seconds: float,
    note_begun: Callable[[ModelFolder], None],
    given_up: threading.Event,
) -> tuple[int, str]:
    """Has another process load models, one after the other.

    Args:
        folders: Their folders.
        limit_seconds: How long one may take.
        note_begun: Is told of each before it is loaded.
        given_up: Ends that.

    Returns:
        How many of them it began to load; and why the last of these must not be loaded, or nothing.
    """
    log.info("models_loading_in_subprocess", models=[make_printable(folder.name) for folder in folders])
    arguments = [part for folder in folders for part in (folder.version, str(folder.path))]
    child = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", "inferq.worker.loading.load_process", *arguments],
        env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    begun, until = 0, time.monotonic() + limit_seconds + START_SECONDS
    with child, child.stdout as marks:  # type: ignore[union-attr] # it is a pipe
        while time.monotonic() < until:
            if given_up.is_set():
                child.kill()
                return begun, ""
            if not select.select([marks], [], [], _CHECK_SECONDS)[0]:
                continue
            if not os.read(marks.fileno(), 1):
                break
            note_begun(folders[begun])
            begun, until = begun + 1, time.monotonic() + limit_seconds + START_SECONDS
        else:
            child.kill()
            return begun, explain_limit(limit_seconds)
    return begun, explain_death(-child.returncode) if child.returncode < 0 else ""


def main() -> None:
    """Loads models. The worker reports all errors but the death of this process.

    It writes a byte to standard output before each model.
    """
    end_with_parent()
    os.nice(_NICENESS)
    with suppress(OSError):  # where memory runs out, the kernel is to kill this process
        Path("/proc/self/oom_score_adj").write_text("1000")
    settings = load_settings()
    marks = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not count as a mark
    for version, folder in batched(sys.argv[1:], 2, strict=True):
        os.write(marks, b".")
        with suppress(Exception):
            prepare(ModelFolder.locate(Path(folder), version), settings)


if __name__ == "__main__":
    main()
