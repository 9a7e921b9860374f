"""Fetches the files that jobs name, several at a time, on a thread of its own."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

import structlog

from inferq.egress.network import Resolver, resolve
from inferq.errors import InferqError, InputUnavailableError
from inferq.remote_inputs.fetch_budget import FetchBudget
from inferq.remote_inputs.http_source import HttpSource
from inferq.remote_inputs.source_rules import UPLOAD, SourceRules
from inferq.remote_inputs.store_source import StoreSource
from inferq.settings import Settings
from inferq.tensors.values import Buffer, RemoteFile

_MOST_CONNECTIONS = 32
_STOP_SECONDS = 1.0

log = structlog.get_logger()


class FileFetcher:
    """Fetches files for one worker.

    Args:
        rules: Which files may be fetched.
        settings: How long that may take, and how long they may be.
        resolver: Finds the addresses of names.
    """

    def __init__(self, rules: SourceRules, settings: Settings, resolver: Resolver = resolve) -> None:
        self._rules = rules
        self._timeout_seconds = settings.input_timeout_seconds
        self._most_bytes = settings.max_input_bytes
        self._resolver = resolver
        self._http: HttpSource | None = None
        self._stores = StoreSource(settings.blob_store)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="file-fetcher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends what is under way, and the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fetch(self, remote_files: Sequence[RemoteFile]) -> Future[dict[str, Buffer]]:
        """Begins to fetch the files of one job.

        Args:
            remote_files: The files.

        Returns:
            Each of them by its URL, when all are there. Errors are `InferqError`: `InputUnavailableError`
            where a later attempt may have them, and others.
        """
        return asyncio.run_coroutine_threadsafe(self._fetch_in_time(remote_files), self._loop)

    async def _fetch_in_time(self, remote_files: Sequence[RemoteFile]) -> dict[str, Buffer]:
        try:
            self._rules.check(remote_files)
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch_all(remote_files)
        except InferqError:
            raise
        except TimeoutError:
            raise InputUnavailableError(
                f"The files that the job names were not there within {self._timeout_seconds:g} s "
                "(INFERQ_INPUT_TIMEOUT_SECONDS)."
            ) from None
        except Exception as error:  # the job must end, and the others go on
            log.exception("input_not_fetched")
            raise InputUnavailableError(
                "The files that the job names were not fetched: a fault of this service, which is in its log."
            ) from error

    async def _fetch_all(self, remote_files: Sequence[RemoteFile]) -> dict[str, Buffer]:
        files: dict[str, Buffer] = {}
        paths = {remote.url: remote.where for remote in remote_files}
        budget = FetchBudget(self._most_bytes)

        async def fetch(url: str, where: str) -> None:
            try:
                files[url] = await self._fetch_one(url, budget)
            except InferqError as error:
                raise type(error)(f"{where}: {error.message}") from error

        try:
            async with asyncio.TaskGroup() as tasks:
                for url, where in paths.items():
                    tasks.create_task(fetch(url, where))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # the others ended because of it
        return files

    async def _fetch_one(self, url: str, budget: FetchBudget) -> Buffer:
        if url.startswith(("s3://", UPLOAD)):
            return await self._stores.fetch(url, budget)
        if self._http is None:
            assert self._rules.http is not None  # noqa: S101 - the rules would have refused the URL
            self._http = HttpSource(self._rules.http, self._resolver, _MOST_CONNECTIONS)
        return await self._http.fetch(url, budget)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        self._stores.close()
        if self._http is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._http.aclose()
