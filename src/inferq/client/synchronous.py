"""The client for ordinary programs and notebooks."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from inferq.client import model_requests, requests
from inferq.client.answers import View, check_completed
from inferq.client.base_client import BaseClient
from inferq.client.download import open_download
from inferq.client.event_source import EventSource
from inferq.client.job import Job
from inferq.client.job_batches import JobBatches
from inferq.client.job_body import JobOptions
from inferq.client.job_search import JobSearch, change_jobs, read_errors, read_page
from inferq.client.media import ContentInPieces, FileOnDisk
from inferq.client.paths import make_model_path, make_queue_path
from inferq.client.payloads import read_lists
from inferq.client.progress import show_progress
from inferq.client.steps import Call, Pause, Steps
from inferq.settings import load_settings


class Client(BaseClient):
    """A client of an inferq service. Safe to share between threads.

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
        self._http = self._open(httpx.Client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def run[T](self, steps: Steps[T]) -> T:
        """Makes the calls and pauses that steps ask for, and returns their result."""
        answer: httpx.Response | httpx.TransportError | None = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    answer = None
                else:
                    answer = self._send(step)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, call: Call) -> httpx.Response | httpx.TransportError:
        arguments = self._request_arguments(call)
        if isinstance(call.body, FileOnDisk | ContentInPieces):
            arguments["content"] = call.body.read_parts()
        try:
            if call.is_outside:
                return httpx.request(**arguments)
            if call.save_to is None:
                return self._http.request(**arguments)
            with self._http.stream(**arguments) as answer:
                if answer.is_success:
                    with open_download(call.save_to) as file:
                        for part in answer.iter_bytes():
                            file.write(part)
                else:
                    answer.read()
                return answer
        except httpx.TransportError as error:
            return error

    def submit(
        self,
        data: Any,  # noqa: ANN401 - whatever users hold
        *,
        model: str | None = None,
        timeout: float | None = None,
        priority: str | None = None,
        webhook: str | None = None,
        expires_in: float | None = None,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        output: str | None = None,
    ) -> Job:
        """Submits data and returns at once.

        Args:
            data: Rows as nested lists, an array or a data frame; the `Path` or the bytes of a picture, a WAV
                file, .npy or .npz; an image of Pillow; or a dict of named inputs.
            model: Name of the model; the service's default if left out.
            timeout: Longest run, s; the model's own if left out.
            priority: `high`, `normal` or `low`.
            webhook: URL to which the end is reported.
            expires_in: How long it may wait for its turn, s; what has not started by then fails as expired.
            idempotency_key: By which the service knows a repeated request; a random one if left out.
            request_id: Name of the request, for the logs of the service; the service makes one if left out.
            output: Folder in a bucket, as `s3://bucket/results/`, to which the result is written.

        Returns:
            The job.

        Raises:
            InvalidInputError: The data does not fit the model.
            UnknownModelError: There is no such model.
            QueueFullError: Too many jobs wait.
            ExpiresTooSoonError: It plainly cannot start within `expires_in`.
            UnreachableError: The service did not answer.
        """
        options = JobOptions(model, timeout, priority, webhook, expires_in, request_id, output)
        return Job(self, self.run(requests.submit(data, options, idempotency_key, self.cache, self.retries)))

    def upload(self, file: Path | bytes) -> dict[str, str]:
        """Sends a file before the jobs that name it, any number of them, until it expires.

        Args:
            file: The `Path` of a file, or its bytes.

        Returns:
            What stands for it, wherever data may have the value of an input; a raw tensor needs `datatype`
            and `shape` beside it.

        Raises:
            InvalidInputError: The file cannot be read.
            BodyTooLargeError: It is longer than the service takes.
            NoBlobStoreError: The service has no blob store.
        """
        return self.run(requests.upload(file, self.retries))

    def submit_many(self, items: Iterable[Any], **options: Any) -> list[Job]:  # noqa: ANN401
        """Submits a job for each item, up to 10,000 in one request, which are accepted all or not at all.

        Args:
            items: The data of each job.
            **options: `model`, `timeout`, `priority`, `webhook`, `expires_in`, `request_id`, `output`; see
                `submit`.
        """
        batches = JobBatches(items, JobOptions(**options), self.cache, self.retries)
        ids = self.run(batches.submit_all())
        return [Job(self, job_id) for job_id in ids]

    def predict(
        self,
        data: Any,  # noqa: ANN401 - whatever users hold
        *,
        wait_timeout: float | None = None,
        as_arrays: bool = False,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - as the model gives it
        """Submits data, waits, and returns what the model gave.

        Args:
            data: See `submit`.
            wait_timeout: Longest wait, s; None for ever.
            as_arrays: Whether to return a dict of NumPy arrays by the names of the outputs, rather than JSON;
                lists of numbers are sent as arrays then.
            **options: See `submit`.

        Raises:
            JobFailedError: The job has failed.
            NotEndedError: The time was up; the job goes on.
        """
        job = self.submit(read_lists(data) if as_arrays else data, **options)
        return job.result_arrays(wait_timeout) if as_arrays else job.result(wait_timeout)

    def map(
        self,
        items: Iterable[Any],
        *,
        batch_size: int = 250,
        progress: bool | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Iterator[Any]:
        """Submits a job for each item and yields the results in their order, while others are in flight.

        Args:
            items: The data of each job, which is rows too: `[[row] for row in rows]`. Read as it is needed.
            batch_size: How many are submitted together; four times as many are in flight.
            progress: Whether to show a progress bar; by default where standard error is a terminal.
            **options: `model`, `timeout`, `priority` and `expires_in`, as for `submit`.

        Raises:
            JobFailedError: A job has failed; those behind it go on.
        """
        batches = JobBatches(items, JobOptions(**options), self.cache, self.retries, batch_size)
        with show_progress(items, progress) as advance:
            while views := self.run(batches.wait_for_batch()):
                for view in views:
                    advance()
                    done = check_completed(view)
                    yield self.run(requests.read_whole_result(done, self.retries))

    def job(self, job_id: str) -> Job:
        """Reads a job.

        Raises:
            JobNotFoundError: It is not known, or not any more.
        """
        return Job(self, job_id).refresh()

    def jobs(
        self,
        *,
        status: str | None = None,
        model: str | None = None,
        page_size: int = 500,
        **wanted: Any,  # noqa: ANN401
    ) -> Iterator[Job]:
        """Yields jobs, the latest first: those that have not ended, then those that have.

        Args:
            status: Only those with this status.
            model: Only those of this model.
            page_size: How many are read at once, at most 500.
            **wanted: What they must have besides: `owner`, `error_kind`, `error` (text in their error),
                `id_prefix`, `since` and `until` (of their end, or else their submission; with a time zone).
        """
        search = JobSearch(status, model, **wanted)
        cursor: str | None = None
        while True:
            page = self.run(read_page(search, page_size, cursor, self.retries))
            yield from (Job(self, view["job_id"], view) for view in page["jobs"])
            cursor = page["next"]
            if cursor is None:
                return

    def job_errors(self, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401
        """Returns failed jobs, grouped by their error without its ids and numbers.

        Args:
            **wanted: Which jobs, as for `jobs`.

        Returns:
            `groups`, the largest first, each with `error_kind`, `error`, `model`, `count`, `latest_at` and
            `example_job_id`; and `is_complete`: whether all failed jobs were read.
        """
        groups: dict[str, Any] = self.run(read_errors(JobSearch(**wanted), self.retries))
        return groups

    def change_jobs(self, action: str, *, dry_run: bool = False, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401
        """Retries, cancels or deletes all jobs that are found, or counts them.

        Args:
            action: `retry` (failed ones), `cancel` (those that have not ended) or `delete` (ended ones).
            dry_run: Whether they are only counted.
            **wanted: Which jobs, as for `jobs`; at least one.

        Returns:
            How many were `matched`, `changed` and `skipped`; and `skipped_by_kind`: why. Where shards do not
            answer, `unavailable_shards` too: their jobs are left as they were.

        Raises:
            InvalidInputError: Nothing is said of which jobs, or the action is not for such jobs.
        """
        steps = change_jobs(action, JobSearch(**wanted), self.retries, is_dry_run=dry_run)
        return self.run(steps)

    def cancel_waiting(self, model: str) -> int:
        """Cancels all jobs of a model that wait, whether a worker serves it or not; those that run go on.

        Args:
            model: Name of the model.

        Returns:
            How many jobs were cancelled.
        """
        return self.run(requests.cancel_waiting(model, self.retries))

    def models(self) -> list[str]:
        """Returns the names of the models that can be run."""
        names: list[str] = self.run(requests.get("/models", self.retries))["models"]
        return names

    def default_model(self) -> str:
        """Returns the name of the model that is run where none is named."""
        return str(self.run(requests.get("/models", self.retries))["default"])

    def model(self, name: str) -> dict[str, Any]:
        """Describes a model: inputs, outputs, classes, an example.

        Raises:
            UnknownModelError: There is no such model.
        """
        document: dict[str, Any] = self.run(requests.get(make_model_path(name), self.retries))
        return document

    def shadow(self, name: str) -> dict[str, Any]:
        """Tells how versions that run beside the one that serves compare with it: `candidates`.

        Raises:
            UnknownModelError: There is no such model.
        """
        report: dict[str, Any] = self.run(requests.get(make_model_path(name, "/shadow"), self.retries))
        return report

    def model_versions(self, name: str) -> dict[str, Any]:
        """Returns the versions of a model: which one `serving` is, and the shares of jobs that others have.

        Raises:
            UnknownModelError: There is no such model.
        """
        path = make_model_path(name, "/versions")
        found: dict[str, Any] = self.run(requests.get(path, self.retries))
        return found

    def rollout(self, name: str) -> dict[str, Any]:
        """Tells which version of a model is `serving`, the `rollout` that was set, and what is `applied`.

        Raises:
            UnknownModelError: There is no such model.
        """
        path = make_model_path(name, "/rollout")
        found: dict[str, Any] = self.run(requests.get(path, self.retries))
        return found

    def set_rollout(
        self,
        name: str,
        *,
        serve: str | None = None,
        shares: Mapping[str, float] | None = None,
        shadow: Mapping[str, float] | None = None,
        tolerance: float | None = None,
        wait: float | None = None,
    ) -> dict[str, Any]:
        """Replaces all that is said of the versions of a model; what is left out is as where nothing is said.

        Args:
            name: Name of the model.
            serve: The version of jobs that name none; the newest if left out.
            shares: Version to the share of these jobs that runs on it instead.
            shadow: Version to the share of these jobs that runs on it too, to be compared.
            tolerance: How much values may differ and still agree.
            wait: How long to wait for the workers, s; INFERQ_MAX_WAIT_SECONDS of the service if left out.

        Returns:
            The same as `rollout`, and whether all live workers follow: `is_followed`, and those `missing`.

        Raises:
            UnknownModelError: There is no such model, or version.
            RolloutStateError: It has no versions, or is unloaded.
            NoWorkerError: No live worker serves such a version.
        """
        members = {"serve": serve, "shares": shares, "shadow": shadow, "tolerance": tolerance}
        changed: dict[str, Any] = self.run(model_requests.replace_rollout(name, members, wait, self.retries))
        return changed

    def delete_rollout(self, name: str, *, wait: float | None = None) -> dict[str, Any]:
        """Removes what was said of the versions of a model: what model.toml says holds again.

        Args:
            name: Name of the model.
            wait: As for `set_rollout`.

        Returns:
            As `set_rollout`.
        """
        changed: dict[str, Any] = self.run(model_requests.delete_rollout(name, wait, self.retries))
        return changed

    def promote(self, name: str, version: str, *, wait: float | None = None) -> dict[str, Any]:
        """Lets a version of a model serve; the one before is kept for a rollback.

        Args:
            name: Name of the model.
            version: The version.
            wait: As for `set_rollout`.

        Returns:
            As `set_rollout`, which also says what may be raised.
        """
        changed: dict[str, Any] = self.run(model_requests.promote(name, version, wait, self.retries))
        return changed

    def rollback(self, name: str, *, wait: float | None = None) -> dict[str, Any]:
        """Lets the version of a model serve again that did before the latest promotion.

        Args:
            name: Name of the model.
            wait: As for `set_rollout`.

        Returns:
            As `set_rollout`, which also says what may be raised.

        Raises:
            RolloutStateError: None has served before, or it was rolled back already.
        """
        changed: dict[str, Any] = self.run(model_requests.roll_back(name, wait))
        return changed

    def reload_models(self, name: str | None = None, *, wait: float | None = None) -> dict[str, Any]:
        """Lets all workers read the model repository again.

        Args:
            name: Of which model the answer tells; of all if left out.
            wait: As for `set_rollout`.

        Returns:
            The `versions` that are served since, what is `unavailable` and why, `is_followed` and `missing`.

        Raises:
            NoWorkerError: No worker lives.
        """
        report: dict[str, Any] = self.run(model_requests.reload_models(name, wait, self.retries))
        return report

    def load_model(self, name: str, *, wait: float | None = None) -> None:
        """Lets workers serve a model that was unloaded, or what is new of it in their repository.

        Raises:
            ModelUnavailableError: It cannot be loaded, or a worker has not in time.
        """
        self.run(model_requests.load_model(name, "load", wait, self.retries))

    def unload_model(self, name: str, *, wait: float | None = None) -> None:
        """Lets workers serve a model no more, until it is loaded; jobs that wait run first.

        Raises:
            UnknownModelError: There is no such model.
            ModelUnavailableError: A worker has not followed in time.
        """
        self.run(model_requests.load_model(name, "unload", wait, self.retries))

    def queue(self, target_wait_seconds: float | None = None) -> dict[str, Any]:
        """Returns how many jobs wait and run, by model, and the live workers.

        Args:
            target_wait_seconds: How long jobs may wait; `needed_workers` says how many workers that takes.
        """
        path = make_queue_path(target_wait_seconds)
        overview: dict[str, Any] = self.run(requests.get(path, self.retries))
        return overview

    def health(self) -> dict[str, Any]:
        """Returns how the service is."""
        return self.run(requests.read_health())

    def events(self, job_id: str) -> Iterator[View]:
        """Yields a job's views as the service sends them, until it has ended; a broken stream is resumed."""
        source = EventSource(job_id, self.retries)
        while True:
            yield from self._read_events(source)
            if source.has_ended:
                return
            time.sleep(source.choose_pause())

    def _read_events(self, source: EventSource) -> Iterator[View]:
        """Yields what one connection brings."""
        try:
            with self._http.stream(**self._stream_arguments(source.call)) as answer:
                if not source.open(answer):
                    answer.read()
                    return
                for part in answer.iter_bytes():
                    yield from source.read(part)
                    if source.has_ended:
                        return
        except httpx.TransportError as error:
            source.fail(error)
