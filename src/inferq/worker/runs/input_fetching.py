"""Fetches the files that jobs name; what that needs is loaded with the first of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferq.remote_inputs.source_rules import SourceRules
from inferq.settings import Settings
from inferq.tensors.values import RemoteFile
from inferq.worker.runs.awaited_files import Files

if TYPE_CHECKING:
    from inferq.egress.network import Resolver
    from inferq.remote_inputs.file_fetcher import FileFetcher


class InputFetching:
    """The part of a worker that fetches.

    Args:
        settings: Which files may be fetched, how long that may take, and how long they may be.
        resolver: Finds the addresses of names; the system's if left out.
    """

    def __init__(self, settings: Settings, resolver: "Resolver | None" = None) -> None:
        self._settings = settings
        self._resolver = resolver
        self._fetcher: FileFetcher | None = None

    def start(self) -> None:
        """Does nothing: the thread starts with the first file."""

    def stop(self) -> None:
        """Ends what is under way."""
        if self._fetcher is not None:
            self._fetcher.stop()

    def fetch(self, remote_files: Sequence[RemoteFile]) -> Files:
        """Begins to fetch the files of one job; see `FileFetcher.fetch`. For the main thread."""
        if self._fetcher is None:
            # imported now: a worker whose jobs name no files does without TLS and HTTP
            from inferq.egress.network import resolve
            from inferq.remote_inputs.file_fetcher import FileFetcher

            rules = SourceRules.from_settings(self._settings)
            self._fetcher = FileFetcher(rules, self._settings, self._resolver or resolve)
            self._fetcher.start()
        return self._fetcher.fetch(remote_files)
