"""Loads the models of a worker, within limits: one that hangs or kills its process is left out.

ONNX Runtime is told to stop, and does so between two nodes of the graph; if it does not, the worker's
process starts anew and leaves the model out. After a process has died while it loaded a model, the next one
has all models loaded by a process of their own first (`python -m inferq.worker.model_loader FOLDER…`), and
leaves out what that dies of.
"""

import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NoReturn

import structlog

from inferq.errors import InferqError, InvalidModelError
from inferq.models.model import Model, RunHandle
from inferq.models.repository import Loaded, load_each, load_model, survey_repository
from inferq.processes import PARENT_VARIABLE, end_with_parent
from inferq.queue.consumer.model_loads import KEPT_SECONDS, ModelLoads
from inferq.settings import Settings, load_settings
from inferq.terminal import printable
from inferq.worker.executor import Executor
from inferq.worker.watchdog import Watchdog, replace_process

_NOTE_SECONDS = 1.0
"""A model that takes longer is named in the log meanwhile."""
_START_SECONDS = 15.0
"""What a process of its own may take besides."""
_LAST_CALL_SECONDS = 2.0
_MOST_FILES = 10_000

log = structlog.get_logger()


class ModelLoader:
    """Makes the models of the repository ready to run.

    Args:
        settings: Where the models are, and how long one may take.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._host = socket.gethostname()
        self._loads = ModelLoads(settings, self._host)
        self._deadly: dict[str, str] = {}

    def load_into(self, runner: Executor) -> Loaded:
        """Loads each model, warms it up and has it tried.

        Args:
            runner: Takes them on.

        Raises:
            InvalidModelError: None can be served; or one cannot, and `strict_models` is set.
        """
        settings = self._settings
        try:
            if self._loads.find_dead():
                log.warning(
                    "worker_died_while_loading", remedy="all models are loaded by another process first"
                )
                self._find_deadly(survey_repository(settings.models_dir).folders)
            return load_each(
                settings.models_dir,
                lambda folder: self._load(folder, runner),
                is_strict=settings.strict_models,
            )
        finally:
            self._loads.end()

    def give_up(self) -> None:
        """Ends the process in the middle of it, by order: that is no model's fault. Does not return."""
        last = threading.Timer(_LAST_CALL_SECONDS, os._exit, (0,))  # Redis may hang
        last.daemon = True
        last.start()
        self._loads.end()
        os._exit(0)

    def _load(self, folder: Path, runner: Executor) -> Model:
        stamp = self.stamp_of(folder)
        if reason := self._deadly.get(stamp) or self._loads.find_reason(stamp):
            raise _left_out(reason)
        self._loads.begin(stamp)
        with self._within_limit(folder, stamp) as handle:
            model = prepare(folder, self._settings, runner, handle)
        self._loads.note_loaded(stamp)
        return model

    def stamp_of(self, folder: Path) -> str:
        """By which it is known that nothing has changed in a model's folder, nor in the limit."""
        files = []
        for path in islice(sorted(folder.rglob("*")), _MOST_FILES):
            with suppress(OSError):
                state = path.stat()
                files.append((str(path), state.st_size, state.st_mtime_ns))
        text = repr((self._host, self._settings.warm_up_seconds, str(folder.absolute()), files))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _find_deadly(self, folders: Sequence[Path]) -> None:
        """Has another process load models, and notes which of them it dies of or does not get ready."""
        stamps = {folder: self.stamp_of(folder) for folder in folders}
        left = [folder for folder in folders if not self._loads.find_reason(stamps[folder])]
        while left:
            begun, reason = self._load_elsewhere(left, stamps)
            if not reason or not begun:
                return
            stamp = stamps[left[begun - 1]]
            self._deadly[stamp] = reason
            self._loads.condemn(stamp, reason)
            left = left[begun:]

    def _load_elsewhere(self, folders: Sequence[Path], stamps: Mapping[Path, str]) -> tuple[int, str]:
        """Has another process load models, one after the other.

        Args:
            folders: Their folders.
            stamps: The stamp of each.

        Returns:
            How many it began with; and why the last of these must not be loaded, or nothing.
        """
        log.info("models_loading_elsewhere", models=[printable(folder.name) for folder in folders])
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "inferq.worker.model_loader", *map(str, folders)],
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        begun = 0
        with child, child.stdout as marks:  # type: ignore[union-attr] # it is a pipe
            while select.select([marks], [], [], self._settings.warm_up_seconds + _START_SECONDS)[0]:
                if not os.read(marks.fileno(), 1):
                    break
                self._loads.begin(stamps[folders[begun]])
                begun += 1
            else:
                child.kill()
                return begun, self._too_long()
        if child.returncode >= 0:
            return begun, ""
        name = signal.Signals(-child.returncode).name
        memory = ", as where memory runs out" if name == "SIGKILL" else ""
        return begun, f"The process that loads it dies ({name}{memory}). Export the model again."

    def _condemn(self, stamp: str, reason: str) -> NoReturn:
        self._loads.condemn(stamp, reason)
        raise _left_out(reason)

    def _too_long(self) -> str:
        return (
            f"It was not ready within {self._settings.warm_up_seconds:g} s (INFERQ_WARM_UP_SECONDS). Give it "
            "an example in its model.toml that ends sooner, or raise the limit."
        )

    @contextmanager
    def _within_limit(self, folder: Path, stamp: str) -> Iterator[RunHandle]:
        """Stops what is done within when its time is up; if it does not stop, the process begins anew."""
        handle, done = RunHandle(), threading.Event()
        limit = self._settings.warm_up_seconds

        def look() -> None:
            note = min(_NOTE_SECONDS, limit)
            if done.wait(note):
                return
            log.info("model_loading", model=printable(folder.name), limit_seconds=limit)
            if done.wait(limit - note):
                return
            handle.stop()
            if not done.wait(self._settings.terminate_seconds):
                log.error("model_does_not_stop", model=printable(folder.name))
                self._loads.condemn(stamp, self._too_long())
                self._loads.end()
                replace_process()

        threading.Thread(target=look, name="load-limit", daemon=True).start()
        try:
            yield handle
        except InferqError:
            if handle.is_stopped:
                self._condemn(stamp, self._too_long())
            raise
        finally:
            done.set()


def _left_out(reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{reason} It is tried again at a start when a file in its folder has changed, or after "
        f"{KEPT_SECONDS // 60} min."
    )


def prepare(folder: Path, settings: Settings, runner: Executor, handle: RunHandle | None = None) -> Model:
    """Loads a model, warms it up, and has it tried.

    Args:
        folder: The model's folder.
        settings: Threads, and the most rows of a job.
        runner: Tries it, and takes it on.
        handle: Lets another thread stop that.

    Raises:
        InvalidModelError: It cannot be served.
        ModelError: It was stopped.
    """
    model = load_model(folder, threads=settings.model_threads, max_rows=settings.max_rows)
    model.warm_up(handle)
    runner.add(model, handle)
    return model


def main() -> None:
    """Loads models, to see whether this process lives on; whatever else is wrong, the worker says.

    Writes a byte to standard output before each.
    """
    end_with_parent()
    with suppress(OSError):  # where memory runs out it is this process that has to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    settings = load_settings()
    runner = Executor({}, Watchdog(settings.terminate_seconds, lambda _run: None), settings)
    marks = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no mark
    for folder in sys.argv[1:]:
        os.write(marks, b".")
        with suppress(Exception):
            prepare(Path(folder), settings, runner)


if __name__ == "__main__":
    main()
