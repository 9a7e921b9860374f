"""Loads the models of a worker, within limits: one that hangs or kills its process is left out.

ONNX Runtime stops between two nodes of the graph when it is told to. If it does not, the worker's process
starts anew and leaves the model out. After a process has died while it loaded a model, the next one first has
all models loaded by another process (`load_process`), and leaves out those that this one dies of. So it is
always with what is loaded while the worker serves: then nothing may happen to its own process.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import structlog

from inferq.errors import InferqError, InvalidModelError
from inferq.models.model import Model
from inferq.models.repository.model_choice import ModelChoice
from inferq.models.repository.repository import load_each
from inferq.models.repository.repository_scan import ModelFolder, scan_repository
from inferq.models.sessions.run_handle import RunHandle
from inferq.queue import LOAD_NOTE_SECONDS, ModelLoads
from inferq.settings import Settings
from inferq.terminal import make_printable
from inferq.worker.forced_exit import exit_after, replace_process
from inferq.worker.loading.folder_stamp import make_stamp
from inferq.worker.loading.load_failures import FILES_CHANGED, explain_limit
from inferq.worker.loading.load_process import START_SECONDS, try_loading
from inferq.worker.loading.loaded_repository import LoadedRepository
from inferq.worker.loading.model_preparation import load_and_warm_up, prepare
from inferq.worker.serving.served_models import ServedVersion

_LOG_AFTER_SECONDS = 1.0
"""A model that takes longer is named in the log meanwhile."""
_LAST_CALL_SECONDS = 2.0
_CHECK_SECONDS = 0.2

log = structlog.get_logger()


class ModelLoader:
    """Makes the models of the repository ready to run.

    Args:
        settings: Where the models are, and how long one may take.

    Attributes:
        choice: What this worker serves.
        given_up: Set from outside to end a load beside the models that serve.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit_seconds = settings.model_load_timeout_seconds
        self._loads = ModelLoads(settings, socket.gethostname())
        self._fatal_reasons: dict[str, str] = {}
        self.choice = ModelChoice(settings.models)
        self.given_up = threading.Event()

    def load(self) -> LoadedRepository:
        """Loads each model, warms it up, and probes it.

        Raises:
            InvalidModelError: None can be served; or one cannot, and `strict_models` is set.
        """
        settings = self._settings
        scan = scan_repository(settings.models_dir)
        chosen = self.choice.apply(scan)
        if absent := self.choice.find_absent(scan.folders):
            log.warning("models_absent", models=absent, setting="INFERQ_MODELS")
        if scan.folders and not (chosen.folders or chosen.skipped):
            there = ", ".join(make_printable(folder.name) for folder in scan.folders)
            raise InvalidModelError(
                f"INFERQ_MODELS ({settings.models}) chooses nothing of the repository {settings.models_dir}, "
                f"which has {there}. Name some of it, or remove the setting."
            )
        stamps = {folder.name: self.make_stamp(folder) for folder in chosen.folders}
        try:
            if self._loads.find_dead():
                log.warning("worker_died_while_loading", remedy="all models are loaded by a subprocess first")
                self._find_fatal(chosen.folders)
            loaded = load_each(settings.models_dir, self._load, is_strict=settings.strict_models, scan=chosen)
        finally:
            self._loads.end()
        return LoadedRepository(scan.folders, loaded.models, loaded.left_out, stamps)

    def load_beside(self, folder: ModelFolder, stamp: str) -> ServedVersion:
        """Loads a model while others serve: first in another process, then on a thread of this one.

        Args:
            folder: Its folder.
            stamp: The folder's stamp.

        Raises:
            InvalidModelError: It cannot be served.
        """
        has_turn = self._await_turn(stamp)
        try:
            if reason := self._loads.find_reason(stamp):
                raise _make_error(reason)
            if has_turn:
                _, reason = try_loading(
                    [folder], self._limit_seconds, lambda _: self._loads.begin(stamp), self.given_up
                )
                if reason:
                    self._condemn(stamp, reason)
            served = self._load_on_thread(folder, stamp)
            self._loads.note_loaded(stamp)
            return served
        finally:
            if has_turn:
                self._loads.end_load_turn(stamp)
            self._loads.end()

    def load_again(self, served: ServedVersion) -> Model:
        """Loads a model that was unloaded, and warms it up, on the thread that runs jobs.

        One that hangs makes the worker's process start anew, as at a start.

        Args:
            served: What was loaded before.

        Raises:
            InvalidModelError: It cannot be loaded; or its files have changed, and nobody knows yet whether
                loading them does harm.
        """
        folder, stamp = served.folder, served.stamp
        if self.make_stamp(folder) != stamp:
            raise InvalidModelError(FILES_CHANGED)
        self._loads.begin(stamp)
        try:
            with self._within_limit(folder, stamp) as handle:
                return load_and_warm_up(folder, self._settings, handle)
        finally:
            self._loads.end()

    def make_stamp(self, folder: ModelFolder) -> str:
        """Returns a digest that changes with the files of a model, and with the time limit."""
        return make_stamp(folder, self._limit_seconds)

    def give_up(self) -> None:
        """Ends the process while it loads, since it was told to; no model is blamed. Does not return."""
        exit_after(_LAST_CALL_SECONDS)
        self._loads.end()
        os._exit(0)

    def _load(self, folder: ModelFolder) -> ServedVersion:
        stamp = self.make_stamp(folder)
        if reason := self._fatal_reasons.get(stamp) or self._loads.find_reason(stamp):
            raise _make_error(reason)
        self._loads.begin(stamp)
        with self._within_limit(folder, stamp) as handle:
            served = self._prepare(folder, stamp, handle)
        self._loads.note_loaded(stamp)
        return served

    def _await_turn(self, stamp: str) -> bool:
        """Waits while another worker of this host loads the same; returns whether it is this one's turn.

        It is not where the other has loaded them, or has found out that they must not be loaded.
        """
        longest_seconds = 2 * self._limit_seconds + START_SECONDS
        until = time.monotonic() + longest_seconds
        while not (self._loads.is_loaded(stamp) or self._loads.find_reason(stamp)):
            is_over = self.given_up.is_set() or time.monotonic() > until
            if is_over or self._loads.take_load_turn(stamp, longest_seconds):
                return True
            self.given_up.wait(_CHECK_SECONDS)
        return False

    def _prepare(self, folder: ModelFolder, stamp: str, handle: RunHandle) -> ServedVersion:
        return replace(prepare(folder, self._settings, handle), stamp=stamp)

    def _load_on_thread(self, folder: ModelFolder, stamp: str) -> ServedVersion:
        """Loads a model; one that does not stop when its time is up keeps its thread, and no more."""
        handle, future = RunHandle(), Future[ServedVersion]()

        def load() -> None:
            try:
                future.set_result(self._prepare(folder, stamp, handle))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(error)

        threading.Thread(target=load, name="model-load", daemon=True).start()
        until = time.monotonic() + self._limit_seconds
        while not self.given_up.is_set() and time.monotonic() < until:
            if wait([future], _CHECK_SECONDS).done:
                return future.result()
        handle.stop()
        if not self.given_up.is_set():
            self._condemn(stamp, explain_limit(self._limit_seconds))
        raise InvalidModelError("It was not loaded, as the worker stops.")

    def _find_fatal(self, folders: Sequence[ModelFolder]) -> None:
        """Has another process load models, and notes which of them it dies of or does not get ready."""
        stamps = {folder: self.make_stamp(folder) for folder in folders}
        left = [folder for folder in folders if not self._loads.find_reason(stamps[folder])]
        while left:
            begun, reason = try_loading(
                left, self._limit_seconds, lambda folder: self._loads.begin(stamps[folder]), self.given_up
            )
            if not reason or not begun:
                return
            stamp = stamps[left[begun - 1]]
            self._fatal_reasons[stamp] = reason
            self._loads.condemn(stamp, reason)
            left = left[begun:]

    def _condemn(self, stamp: str, reason: str) -> NoReturn:
        self._loads.condemn(stamp, reason)
        raise _make_error(reason)

    @contextmanager
    def _within_limit(self, folder: ModelFolder, stamp: str) -> Iterator[RunHandle]:
        """Stops what is done within when its time is up; if it does not stop, the process starts anew."""
        handle, done = RunHandle(), threading.Event()
        limit = self._limit_seconds

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
                self._loads.condemn(stamp, explain_limit(limit))
                self._loads.end()
                replace_process()

        threading.Thread(target=enforce_limit, name="load-limit", daemon=True).start()
        try:
            yield handle
        except InferqError:
            if handle.is_stopped:
                self._condemn(stamp, explain_limit(limit))
            raise
        finally:
            done.set()


def _make_error(reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{reason} It is tried again when a file in its folder has changed, or at a start after "
        f"{LOAD_NOTE_SECONDS // 60} min."
    )
