"""The client for programs that run on asyncio."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sized
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, Self

import httpx

from inferq.client import core
from inferq.client.base_client import BaseClient
from inferq.client.base_job import BaseJob
from inferq.client.core import Call, Feed, Options, Pause, Steps
from inferq.client.progress import IN_FLIGHT, progress_bar
from inferq.client.service_url import unreachable
from inferq.client.sse import EventReader
from inferq.settings import load_settings


class AsyncJob(BaseJob):
    """A job, with what can be done with it."""

    def __init__(self, client: "AsyncClient", job_id: str, view: core.View | None = None) -> None:
        super().__init__(job_id, view)
        self._client = client

    async def refresh(self) -> Self:
        """Reads the job as it is now.

        Raises:
            JobNotFoundError: It is not known, or not any more.
        """
        self.view = await self._client.run(core.read(self.id, self._client.retries))
        return self

    async def wait(self, timeout: float | None = None) -> Self:
        """Waits until the job has ended, well or badly.

        Args:
            timeout: Longest wait, s; None for ever.

        Raises:
            NotEndedError: The time was up.
        """
        if not self.has_ended:
            self.view = await self._client.run(core.wait(self.id, timeout, self._client.retries))
        return self

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - as the model gives it
        """Waits until the job has ended, and returns what the model gave.

        Args:
            timeout: Longest wait, s; None for ever.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up.
        """
        return core.result_of((await self.wait(timeout)).view)

    async def cancel(self) -> Self:
        """Cancels the job: a waiting one never runs, a running one is stopped.

        Raises:
            JobStateError: It has ended.
        """
        self.view = await self._client.run(core.cancel(self.id, self._client.retries))
        return self

    async def retry(self) -> Self:
        """Puts the job, which has failed, in line again.

        Raises:
            JobStateError: It has not failed.
        """
        await self._client.run(core.retry(self.id))
        return await self.refresh()

    async def watch(self) -> AsyncIterator[Self]:
        """Yields this job at each change of its status or place in the queue, until it has ended."""
        async for view in self._client.events(self.id):
            self.view = view
            yield self


class AsyncClient(BaseClient):
    """A client of an inferq service. For one event loop.

    Args:
        url: Where the service is; `INFERQ_URL`, or http://localhost:8000, if left out.
        api_key: Key to send; `INFERQ_API_KEY` if left out.
        timeout: Longest time that a request may take, beyond what it waits for a job, s.
        retries: How often a request is repeated where that does no harm and may help.
    """

    def __init__(
        self, url: str | None = None, *, api_key: str | None = None, timeout: float = 30.0, retries: int = 3
    ) -> None:
        super().__init__(load_settings(), url, api_key, timeout, retries)
        self._http = self._open(httpx.AsyncClient)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def run[T](self, steps: Steps[T]) -> T:
        """Does what a generator of `core` asks for, and returns its result."""
        answer: httpx.Response | httpx.TransportError | None = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    answer = None
                else:
                    answer = await self._make(step)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _make(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(**self._arguments(call))
        except httpx.TransportError as error:
            return error

    async def submit(
        self,
        data: Any,  # noqa: ANN401 - whatever users hold
        *,
        model: str | None = None,
        timeout: float | None = None,
        priority: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Submits data and returns at once.

        Args:
            data: Rows as nested lists, a NumPy array or a data frame; or a dict of named inputs.
            model: Name of the model; the service's default if left out.
            timeout: Longest run, s; the model's own if left out.
            priority: `high`, `normal` or `low`.
            webhook: URL to which the end is reported.
            idempotency_key: By which the service knows a repeated request; a random one if left out.

        Returns:
            The job.

        Raises:
            InvalidInputError: The data does not fit the model.
            UnknownModelError: There is no such model.
            QueueFullError: Too many jobs wait.
            UnreachableError: The service did not answer.
        """
        options = Options(model, timeout, priority, webhook)
        return AsyncJob(
            self, await self.run(core.submit(data, options, idempotency_key, self.learned, self.retries))
        )

    async def submit_many(self, items: Iterable[Any], **options: Any) -> list[AsyncJob]:  # noqa: ANN401
        """Submits a job for each item, up to 10,000 in one request, which are accepted all or not at all.

        Args:
            items: The data of each job.
            **options: `model`, `timeout`, `priority` and `webhook`, as for `submit`.
        """
        feed = Feed(items, Options(**options), self.learned, self.retries)
        ids = await self.run(feed.submit_all())
        return [AsyncJob(self, job_id) for job_id in ids]

    async def predict(self, data: Any, *, wait_timeout: float | None = None, **options: Any) -> Any:  # noqa: ANN401
        """Submits data, waits, and returns what the model gave.

        Args:
            data: See `submit`.
            wait_timeout: Longest wait, s; None for ever.
            **options: See `submit`.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up; the job goes on.
        """
        return await (await self.submit(data, **options)).result(wait_timeout)

    async def map(
        self,
        items: Iterable[Any],
        *,
        batch_size: int = 250,
        progress: bool | None = None,
        **options: Any,  # noqa: ANN401
    ) -> AsyncIterator[Any]:
        """Submits a job for each item and yields the results in their order, while others are under way.

        Args:
            items: The data of each job, which is rows too: `[[row] for row in rows]`. Read as it is needed.
            batch_size: How many are submitted together; four times as many are under way.
            progress: Whether to show a progress bar; by default where standard error is a terminal.
            **options: `model`, `timeout` and `priority`, as for `submit`.

        Raises:
            JobFailedError: A job has failed; those behind it go on.
        """
        total = len(items) if isinstance(items, Sized) else None
        feed = Feed(items, Options(**options), self.learned, self.retries, batch_size)
        under_way: deque[list[str]] = deque()
        with ExitStack() as stack:
            advance = (
                progress_bar(stack, total)
                if (sys.stderr.isatty() if progress is None else progress)
                else None
            )
            while True:
                while len(under_way) < IN_FLIGHT and (group := await self.run(feed.submit_group())):
                    under_way.append(group)
                if not under_way:
                    return
                for view in await self.run(core.wait_all(under_way.popleft(), self.retries)):
                    if advance is not None:
                        advance()
                    yield core.result_of(view)

    async def job(self, job_id: str) -> AsyncJob:
        """Reads a job.

        Raises:
            JobNotFoundError: It is not known, or not any more.
        """
        return await AsyncJob(self, job_id).refresh()

    async def jobs(
        self, *, status: str | None = None, model: str | None = None, page_size: int = 500
    ) -> AsyncIterator[AsyncJob]:
        """Yields jobs, the latest first: those that have not ended, then those that have.

        Args:
            status: Only those with this status.
            model: Only those of this model.
            page_size: How many are read at once, at most 500.
        """
        cursor: str | None = None
        while True:
            page = await self.run(core.pages(status, model, page_size, cursor, self.retries))
            for view in page["jobs"]:
                yield AsyncJob(self, view["job_id"], view)
            cursor = page["next"]
            if cursor is None:
                return

    async def cancel_waiting(self, model: str) -> int:
        """Cancels all jobs of a model that wait, whether a worker serves it or not; those that run go on.

        Args:
            model: Name of the model.

        Returns:
            How many jobs were cancelled.
        """
        return await self.run(core.cancel_waiting(model, self.retries))

    async def models(self) -> list[str]:
        """Names of the models that can be run."""
        names: list[str] = (await self.run(core.get("/models", self.retries)))["models"]
        return names

    async def default_model(self) -> str:
        """Name of the model that is run where none is named."""
        return str((await self.run(core.get("/models", self.retries)))["default"])

    async def model(self, name: str) -> dict[str, Any]:
        """Describes a model: inputs, outputs, classes, an example.

        Raises:
            UnknownModelError: There is no such model.
        """
        document: dict[str, Any] = await self.run(core.get(core.model_path(name), self.retries))
        return document

    async def queue(self) -> dict[str, Any]:
        """How many jobs wait and run, by model, and who works."""
        overview: dict[str, Any] = await self.run(core.get("/queue", self.retries))
        return overview

    async def health(self) -> dict[str, Any]:
        """How the service is."""
        answer = await self._make(Call("GET", "/health"))
        if isinstance(answer, httpx.TransportError):
            raise unreachable("GET /health", answer) from answer
        health: dict[str, Any] = core.document_of(Call("GET", "/health"), answer)
        return health

    async def events(self, job_id: str) -> AsyncIterator[core.View]:
        """Yields a job's views as the service sends them, until it has ended; a broken stream is resumed."""
        last_id, pauses = "", core.pauses(self.retries)
        while True:
            call = Call("GET", core.job_path(job_id, "/events"))
            failure: httpx.Response | httpx.TransportError
            try:
                async with self._http.stream(**self._stream_arguments(call, last_id)) as answer:
                    if answer.status_code == HTTPStatus.NO_CONTENT:
                        return  # the end has been told
                    if answer.is_success:
                        reader = EventReader()
                        async for part in answer.aiter_bytes():
                            for event in reader.feed(part):
                                last_id, pauses = event.id, core.pauses(self.retries)
                                yield event.view
                                if event.is_last:
                                    return
                        failure = httpx.RemoteProtocolError("the stream ended before the job did")
                    else:
                        await answer.aread()
                        failure = answer
            except httpx.TransportError as error:
                failure = error
            seconds = next(pauses, None) if core.is_passing(failure) else None
            if seconds is None:
                raise core.error_of(call, failure)
            await asyncio.sleep(seconds)
