"""A job in the hands of a program on asyncio: what can be done with it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Self

from inferq.client import requests
from inferq.client.answers import View, check_completed
from inferq.client.base_job import BaseJob
from inferq.client.job_wait import wait_for_end
from inferq.client.steps import Steps


class AsyncStepRunner(Protocol):
    """What a job needs of its client."""

    retries: int

    async def run[T](self, steps: Steps[T]) -> T:
        """Makes the calls and pauses that steps ask for, and returns their result."""

    def events(self, job_id: str) -> AsyncGenerator[View]:
        """Yields a job's views as the service sends them, until it has ended."""


class AsyncJob(BaseJob):
    """A job, with what can be done with it."""

    def __init__(self, client: AsyncStepRunner, job_id: str, view: View | None = None) -> None:
        super().__init__(job_id, view)
        self._client = client

    async def refresh(self) -> Self:
        """Reads the job as it is now.

        Raises:
            JobNotFoundError: It is not known, or not any more.
        """
        self.view = await self._client.run(requests.read_job(self.id, self._client.retries))
        return self

    async def wait(self, timeout: float | None = None) -> Self:
        """Waits until the job has ended, whether it completed or failed.

        Args:
            timeout: Longest wait, s; None for ever.

        Raises:
            NotEndedError: The time was up.
        """
        if not self.has_ended:
            self.view = await self._client.run(wait_for_end(self.id, timeout, self._client.retries))
        return self

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - as the model gives it
        """Waits until the job has ended, and returns what the model gave, as JSON has it.

        A large result of arrays is read only here, and lists of it take memory; see `result_arrays`.

        Args:
            timeout: Longest wait, s; None for ever.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up.
        """
        view = check_completed((await self.wait(timeout)).view)
        return await self._client.run(requests.read_whole_result(view, self._client.retries))

    async def result_arrays(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits until the job has ended, and returns the outputs of the model as arrays of NumPy, by name.

        Args:
            timeout: Longest wait, s; None for ever.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up.
            NotAcceptableError: The result has no arrays, as that of a classifier whose data was JSON.
        """
        check_completed((await self.wait(timeout)).view)
        return await self._client.run(requests.read_arrays(self.id, self._client.retries))

    async def save_result(
        self, path: str | PathLike[str], *, output: str | None = None, timeout: float | None = None
    ) -> None:
        """Waits until the job has ended, and writes its result to a file while it comes.

        Args:
            path: The file. Its name says the form: `.npy` (one output), `.npz`, `.json`, or `.bin` for the
                binary answer of the Open Inference Protocol.
            output: Name of the only output to save; all if left out.
            timeout: Longest wait, s; None for ever.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up.
            NotAcceptableError: The result cannot be had in that form.
        """
        check_completed((await self.wait(timeout)).view)
        await self._client.run(requests.save_result(self.id, Path(path), output, self._client.retries))

    async def cancel(self) -> Self:
        """Cancels the job: a waiting one never runs, a running one is stopped.

        Raises:
            JobStateError: It has ended.
        """
        self.view = await self._client.run(requests.cancel(self.id, self._client.retries))
        return self

    async def retry(self) -> Self:
        """Queues the job, which has failed, again.

        Raises:
            JobStateError: It has not failed.
        """
        await self._client.run(requests.retry(self.id))
        return await self.refresh()

    async def watch(self) -> AsyncIterator[Self]:
        """Yields this job at each change of its status, queue position or progress, until it has ended."""
        async with aclosing(self._client.events(self.id)) as views:
            async for view in views:
                self.view = view
                yield self
