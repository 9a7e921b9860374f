"""Reads the data of claimed jobs; what cannot be read fails its own job alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from inferq.errors import InferqError, InvalidInputError
from inferq.jobs import ClaimedJob, Outcome
from inferq.models.decoded_job import DecodedJob
from inferq.models.model import Model
from inferq.observability.log_context import log_jobs
from inferq.tensors.forms import DataRequest
from inferq.tensors.values import Buffer
from inferq.worker.runs.awaited_files import Files
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
        awaited: Jobs that name files, which have to be fetched first, and what they name.
    """

    failed: list[Outcome]
    decoded: Batch
    input_bytes: int = 0
    awaited: list[tuple[ClaimedJob, DataRequest]] = field(default_factory=list)

    def add(self, job: ClaimedJob, decoded: DecodedJob | DataRequest | Outcome) -> None:
        """Adds a job."""
        match decoded:
            case Outcome():
                self.failed.append(decoded)
            case DataRequest():
                self.awaited.append((job, decoded))
            case _:
                self.decoded.add(job, decoded)
                self.input_bytes += decoded.input_bytes


def decode_jobs(
    model: Model, jobs: Sequence[ClaimedJob], find_files: Callable[[ClaimedJob], Files | None]
) -> Iterator[DecodedPart]:
    """Reads the data of jobs, in parts whose inputs take not too much memory.

    Args:
        model: The model that is to run them.
        jobs: The jobs.
        find_files: Returns the files that a job names, if they have been fetched.
    """
    together = model.decode_together([job.data for job in jobs]) if len(jobs) > 1 else None
    if together is not None:
        yield DecodedPart([], Batch(list(jobs), together, sum([one.rows for one in together])))
        return
    part = DecodedPart([], Batch())
    for job in jobs:
        if part.input_bytes > _MOST_INPUT_BYTES:
            yield part
            part = DecodedPart([], Batch())
        part.add(job, decode_job(partial(_decode_or_read, model, job.data, find_files(job)), job))
    yield part


def _decode_or_read(model: Model, data: Buffer, files: Files | None) -> DecodedJob | DataRequest:
    """Reads the data of a job; of one that names files, only what is to be fetched, until they are there."""
    request = model.read(data)
    if not request.remote_files:
        return model.prepare(request)
    return request if files is None else model.resolve(request, files.result())


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
