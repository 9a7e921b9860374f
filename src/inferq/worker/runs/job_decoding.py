"""Reads the data of claimed jobs; what cannot be read fails its own job alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from inferq.errors import InferqError, InvalidInputError
from inferq.jobs import ClaimedJob, Outcome
from inferq.models.decoded_job import DecodedJob
from inferq.models.model import Model
from inferq.observability.log_context import log_jobs
from inferq.tensors.forms import DataRequest
from inferq.tensors.values import Buffer
from inferq.worker.runs.awaited_files import AwaitedFiles, Fetch, Files
from inferq.worker.runs.batch import Batch

_MOST_INPUT_BYTES = 32 * 1024 * 1024
"""Of inputs in memory together, unless a single job has more: a picture takes fifty times its file."""

log = structlog.get_logger()


@dataclass(slots=True)
class DecodedPart:
    """Some jobs of a claim: how those failed whose data cannot be read, and the others.

    Attributes:
        failed: The former.
        decoded: The latter.
        input_bytes: How much memory their inputs take, as far as these are not smaller than their data.
        waited_seconds: How long the files were waited for that they name.
        awaited_jobs: How many jobs come later, whose files have to be waited for.
    """

    failed: list[Outcome]
    decoded: Batch
    input_bytes: int = 0
    waited_seconds: float = 0.0
    awaited_jobs: int = 0

    def add(self, job: ClaimedJob, decoded: DecodedJob | Outcome) -> None:
        """Adds a job."""
        if isinstance(decoded, Outcome):
            self.failed.append(decoded)
        else:
            self.decoded.add(job, decoded)
            self.input_bytes += decoded.input_bytes


def decode_jobs(model: Model, jobs: Sequence[ClaimedJob], fetch: Fetch) -> Iterator[DecodedPart]:
    """Reads the data of jobs, in parts whose inputs take not too much memory.

    Jobs that name files come last, each as soon as its files are there: the others do not wait for them.

    Args:
        model: The model that is to run them.
        jobs: The jobs.
        fetch: Begins to fetch the files that a job names.
    """
    together = model.decode_together([job.data for job in jobs]) if len(jobs) > 1 else None
    if together is not None:
        yield DecodedPart([], Batch(list(jobs), together, sum([one.rows for one in together])))
        return
    part, awaited = DecodedPart([], Batch()), AwaitedFiles(fetch)
    try:
        for job in jobs:
            if part.input_bytes > _MOST_INPUT_BYTES:
                yield part
                part = DecodedPart([], Batch())
            read = decode_job(partial(_decode_or_read, model, job.data), job)
            if isinstance(read, DataRequest):
                awaited.add(job, read)
            else:
                part.add(job, read)
        if not awaited:
            yield part
            return
        part.awaited_jobs = len(awaited)
        yield part
        yield from _decode_fetched(model, awaited)
    finally:
        awaited.close()


def _decode_or_read(model: Model, data: Buffer) -> DecodedJob | DataRequest:
    """Reads the data of a job; of one that names files, only what is to be fetched."""
    request = model.read(data)
    return request if request.remote_files else model.prepare(request)


def _decode_fetched(model: Model, awaited: AwaitedFiles) -> Iterator[DecodedPart]:
    while awaited:
        began = time.perf_counter()
        fetched = awaited.take()
        part = DecodedPart([], Batch(), waited_seconds=time.perf_counter() - began)
        for (job, request), files in fetched:
            if part.input_bytes > _MOST_INPUT_BYTES:
                yield part
                part = DecodedPart([], Batch())
            part.add(job, decode_job(partial(_resolve, model, request, files), job))
        part.awaited_jobs = len(awaited)
        yield part


def _resolve(model: Model, request: DataRequest, files: Files) -> DecodedJob:
    return model.resolve(request, files.result())


def decode_job[T](decode: Callable[[], T], job: ClaimedJob) -> T | Outcome:
    """Reads the data of one job.

    Args:
        decode: Reads it.
        job: The job.

    Returns:
        What it says; or how the job fails.
    """
    try:
        return decode()
    except InferqError as error:
        return Outcome(job, error=error)
    except Exception as error:  # whatever the data does, the worker lives on
        with log_jobs((job,)):
            log.exception("data_not_readable", model=job.model)
        return Outcome(job, error=InvalidInputError(f"The data cannot be read: {error}."))
