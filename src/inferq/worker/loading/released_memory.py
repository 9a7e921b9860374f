"""Frees memory once models are used no more."""

import ctypes
import gc
import weakref
from contextlib import suppress

from inferq.models.model import Model
from inferq.worker.serving.served_models import ServedTable

_MOST_TRIES = 30
"""Nothing uses a model for longer but by mistake, or in a run that lasts: then its memory is freed later."""


def trim_memory() -> None:
    """Has the allocator return to the system what is free."""
    with suppress(OSError, AttributeError):  # glibc alone has it, and keeps what is freed without
        ctypes.CDLL(None).malloc_trim(0)


class ReleasedMemory:
    """Waits until nothing uses a model, as a run under way may, and has the allocator return its memory."""

    def __init__(self) -> None:
        self._leaving: list[weakref.ref[Model]] = []
        self._tries = 0

    def note_replaced(self, before: ServedTable, after: ServedTable) -> None:
        """Notes the models of a table that another one does not have."""
        kept = {id(version.model) for version in after.versions.values()}
        gone = {id(version.model): version.model for version in before.versions.values()}
        if leaving := [weakref.ref(model) for key, model in gone.items() if key not in kept]:
            self._leaving += leaving
            self._tries = 0

    def free(self) -> None:
        """Frees what the models took that are gone."""
        if not self._leaving:
            return
        self._tries += 1
        if self._tries == _MOST_TRIES:  # something else keeps it; a collection stops all threads for long
            gc.collect()
        left = [model for model in self._leaving if model() is not None]
        if len(left) < len(self._leaving):
            trim_memory()
        self._leaving = left if self._tries < _MOST_TRIES else []
