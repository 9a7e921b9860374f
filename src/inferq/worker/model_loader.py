"""Loads the models of a worker, within limits: one that hangs or kills its process is left out.

ONNX Runtime stops between two nodes of the graph when it is told to. If it does not, the worker's process
starts anew and leaves the model out. After a process has died while it loaded a model, the next one first has
all models loaded by a subprocess (`python -m inferq.worker.model_loader FOLDER…`), and leaves out those that
the subprocess dies of.
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
from inferq.models.execution_providers import read_execution_config
from inferq.models.model import Model
from inferq.models.model_folder import load_model
from inferq.models.repository import LoadedModels, load_each
from inferq.models.repository_scan import scan_repository
from inferq.models.run_handle import RunHandle
from inferq.processes import PARENT_VARIABLE, end_with_parent
from inferq.queue import LOAD_NOTE_SECONDS, ModelLoads
from inferq.settings import Settings, load_settings
from inferq.terminal import make_printable
from inferq.worker.executor import Executor
from inferq.worker.forced_exit import exit_after, replace_process
from inferq.worker.watchdog import Watchdog

_LOG_AFTER_SECONDS = 1.0
"""A model that takes longer is named in the log meanwhile."""
_SUBPROCESS_START_SECONDS = 15.0
"""How much longer a subprocess may take, to start."""
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
        self._fatal_reasons: dict[str, str] = {}

    def load_into(self, executor: Executor) -> LoadedModels:
        """Loads each model, warms it up, and adds it to an executor, which probes it.

        Args:
            executor: Who is to run them.

        Raises:
            InvalidModelError: None can be served; or one cannot, and `strict_models` is set.
        """
        settings = self._settings
        try:
            if self._loads.find_dead():
                log.warning("worker_died_while_loading", remedy="all models are loaded by a subprocess first")
                self._find_fatal(scan_repository(settings.models_dir).folders)
            return load_each(
                settings.models_dir,
                lambda folder: self._load(folder, executor),
                is_strict=settings.strict_models,
            )
        finally:
            self._loads.end()

    def give_up(self) -> None:
        """Ends the process while it loads, since it was told to; no model is blamed. Does not return."""
        exit_after(_LAST_CALL_SECONDS)
        self._loads.end()
        os._exit(0)

    def _load(self, folder: Path, executor: Executor) -> Model:
        stamp = self.make_stamp(folder)
        if reason := self._fatal_reasons.get(stamp) or self._loads.find_reason(stamp):
            raise _make_error(reason)
        self._loads.begin(stamp)
        with self._within_limit(folder, stamp) as handle:
            model = prepare(folder, self._settings, executor, handle)
        self._loads.note_loaded(stamp)
        return model

    def make_stamp(self, folder: Path) -> str:
        """Returns a digest that changes with the files of a model's folder and with the time limit."""
        files = []
        for path in islice(sorted(folder.rglob("*")), _MOST_FILES):
            with suppress(OSError):
                state = path.stat()
                files.append((str(path), state.st_size, state.st_mtime_ns))
        text = repr((self._host, self._settings.model_load_timeout_seconds, str(folder.absolute()), files))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _find_fatal(self, folders: Sequence[Path]) -> None:
        """Has a subprocess load models, and notes which of them it dies of or does not get ready."""
        stamps = {folder: self.make_stamp(folder) for folder in folders}
        left = [folder for folder in folders if not self._loads.find_reason(stamps[folder])]
        while left:
            begun, reason = self._load_in_subprocess(left, stamps)
            if not reason or not begun:
                return
            stamp = stamps[left[begun - 1]]
            self._fatal_reasons[stamp] = reason
            self._loads.condemn(stamp, reason)
            left = left[begun:]

    def _load_in_subprocess(self, folders: Sequence[Path], stamps: Mapping[Path, str]) -> tuple[int, str]:
        """Has a subprocess load models, one after the other.

        Args:
            folders: Their folders.
            stamps: The stamp of each.

        Returns:
            How many of them it began to load; and why the last of these must not be loaded, or nothing.
        """
        log.info("models_loading_in_subprocess", models=[make_printable(folder.name) for folder in folders])
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "inferq.worker.model_loader", *map(str, folders)],
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        begun = 0
        with child, child.stdout as marks:  # type: ignore[union-attr] # it is a pipe
            while select.select(
                [marks], [], [], self._settings.model_load_timeout_seconds + _SUBPROCESS_START_SECONDS
            )[0]:
                if not os.read(marks.fileno(), 1):
                    break
                self._loads.begin(stamps[folders[begun]])
                begun += 1
            else:
                child.kill()
                return begun, self._explain_limit()
        if child.returncode >= 0:
            return begun, ""
        name = signal.Signals(-child.returncode).name
        memory = ", as where memory runs out" if name == "SIGKILL" else ""
        return begun, f"The process that loads it dies ({name}{memory}). Export the model again."

    def _condemn(self, stamp: str, reason: str) -> NoReturn:
        self._loads.condemn(stamp, reason)
        raise _make_error(reason)

    def _explain_limit(self) -> str:
        return (
            f"It was not ready within {self._settings.model_load_timeout_seconds:g} s "
            "(INFERQ_MODEL_LOAD_TIMEOUT_SECONDS). Give it an example in its model.toml that ends sooner, or "
            "raise the limit."
        )

    @contextmanager
    def _within_limit(self, folder: Path, stamp: str) -> Iterator[RunHandle]:
        """Stops what is done within when its time is up; if it does not stop, the process starts anew."""
        handle, done = RunHandle(), threading.Event()
        limit = self._settings.model_load_timeout_seconds

        def enforce_limit() -> None:
            log_after = min(_LOG_AFTER_SECONDS, limit)
            if done.wait(log_after):
                return
            log.info("model_loading", model=make_printable(folder.name), limit_seconds=limit)
            if done.wait(limit - log_after):
                return
            handle.stop()
            if not done.wait(self._settings.run_stop_grace_seconds):
                log.error("model_load_hung", model=make_printable(folder.name))
                self._loads.condemn(stamp, self._explain_limit())
                self._loads.end()
                replace_process()

        threading.Thread(target=enforce_limit, name="load-limit", daemon=True).start()
        try:
            yield handle
        except InferqError:
            if handle.is_stopped:
                self._condemn(stamp, self._explain_limit())
            raise
        finally:
            done.set()


def _make_error(reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{reason} It is tried again at a start when a file in its folder has changed, or after "
        f"{LOAD_NOTE_SECONDS // 60} min."
    )


def prepare(folder: Path, settings: Settings, executor: Executor, handle: RunHandle | None = None) -> Model:
    """Loads a model, warms it up, and adds it to an executor.

    Args:
        folder: The model's folder.
        settings: Threads, and the most rows and pixels of a job.
        executor: Probes the model, and is to run it.
        handle: Lets another thread stop that.

    Raises:
        InvalidModelError: It cannot be served.
        ModelError: It was stopped.
    """
    model = load_model(
        folder,
        read_execution_config(settings),
        max_rows=settings.max_rows,
        max_image_pixels=settings.max_image_pixels,
    )
    model.warm_up(handle)
    executor.add(model, handle)
    return model


def main() -> None:
    """Loads models, to see whether this process survives. The worker reports all other errors.

    It writes a byte to standard output before each model.
    """
    end_with_parent()
    with suppress(OSError):  # where memory runs out, the kernel is to kill this process
        Path("/proc/self/oom_score_adj").write_text("1000")
    settings = load_settings()
    executor = Executor({}, Watchdog(settings.run_stop_grace_seconds, lambda _run: None), settings)
    marks = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not count as a mark
    for folder in sys.argv[1:]:
        os.write(marks, b".")
        with suppress(Exception):
            prepare(Path(folder), settings, executor)


if __name__ == "__main__":
    main()
