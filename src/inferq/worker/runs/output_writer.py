"""Writes results to where their jobs ask for them: into folders of buckets."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from pydantic_core import to_json

from inferq.blobs import open_user_objects
from inferq.egress.bucket_policy import BucketPolicy
from inferq.errors import (
    InferqError,
    InvalidInputError,
    InvalidSettingError,
    OutputDeniedError,
    OutputUnavailableError,
    QueueFullError,
    StoreDeniedError,
    StoreMissingError,
    StoreUnavailableError,
)
from inferq.jobs import ClaimedJob, Outcome
from inferq.settings import Settings
from inferq.tensors.envelope import is_envelope
from inferq.tensors.file_types import ENVELOPE
from inferq.tensors.forms import JSON

LONGEST_SECONDS = 300.0
"""How long leases are renewed while results are written: requests to a bucket are sent again a few times."""
_THREADS = 8


class OutputWriter:
    """Writes results to buckets, some at one time, with the credentials of this process.

    An object has the name of its job, so that a further attempt writes the same one again.

    Args:
        settings: Which buckets may be written to.
    """

    def __init__(self, settings: Settings) -> None:
        self._policy = BucketPolicy.for_outputs(settings)

    def write(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Writes the results of jobs that ask for it.

        Args:
            outcomes: How they ended, each with a result.

        Returns:
            The same with a reference in the place of each result, as JSON; or with an error: one of kind
            `output-unavailable` where a later attempt may succeed.
        """
        with ThreadPoolExecutor(_THREADS, "output-writer") as threads:
            return list(threads.map(self._write, outcomes))

    def _write(self, outcome: Outcome) -> Outcome:
        job, result = outcome.job, outcome.result or b"null"
        written = job._replace(output="")  # not again, should its end have to wait
        try:
            reference = self._write_object(job, result)
        except InferqError as error:
            return outcome._replace(job=written, result=None, error=error)
        return outcome._replace(job=written, result=reference)

    def _write_object(self, job: ClaimedJob, result: bytes) -> bytes:
        file_type = ENVELOPE if is_envelope(result) else JSON.file_type
        url = f"{job.output}{quote(job.id, safe='')}{file_type.suffix}"
        try:
            self._policy.check(url)
            open_user_objects().write(url, [result])
        except (InvalidInputError, StoreDeniedError, StoreMissingError) as error:
            raise OutputDeniedError(f"The result was not written: {error.message}") from error
        except (StoreUnavailableError, QueueFullError, InvalidSettingError) as error:
            raise OutputUnavailableError(f"The result was not written: {error.message}") from error
        return to_json({"url": url, "bytes": len(result), "media_type": file_type.media_type})
