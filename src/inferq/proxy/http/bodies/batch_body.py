"""Parses the bodies of requests about many jobs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inferq.errors import InferqError, InvalidInputError
from inferq.proxy.http.bodies.predict_body import (
    count_strings,
    make_duplicate_error,
    may_have_duplicates,
    parse_object,
    refuse_duplicates,
    refuse_unknown,
)
from inferq.tensors.nested_arrays import describe

MOST_JOBS = 10_000
"""Most jobs in one request."""

_BATCH_EXAMPLE = 'An example: {"jobs": [{"data": [[5.1, 3.5, 1.4, 0.2]]}, {"data": [[6.3, 3.3, 6.0, 2.5]]}]}'
_IDS_EXAMPLE = 'An example: {"job_ids": ["3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071"]}'


def parse_batch(raw: bytes) -> Iterator[dict[str, Any]]:
    """Parses the body of `POST /predict/batch`.

    Args:
        raw: The body as it was received.

    Yields:
        Each job as an object; the caller reads its members. So an error in one job is raised before an error
        of the whole body.

    Raises:
        InvalidJsonError: The body is no JSON object.
        InvalidInputError: It does not hold 1 to `MOST_JOBS` objects, or has a member twice.
    """
    body = parse_object(raw, _BATCH_EXAMPLE)
    jobs = _read_array(body, "jobs", "jobs", _BATCH_EXAMPLE)
    kept = len(body)
    for number, job in enumerate(jobs):
        if not isinstance(job, dict):
            with name_job(number):
                raise InvalidInputError(
                    f"must be an object like a body of POST /predict, got {describe(job)}. {_BATCH_EXAMPLE}"
                )
        kept += count_strings(job)
        yield job
    if may_have_duplicates(raw, kept):
        _refuse_duplicates_in_batch(raw)


def parse_ids(raw: bytes) -> list[str]:
    """Parses the body of `POST /jobs/status`.

    Raises:
        InvalidJsonError: It is no JSON object.
        InvalidInputError: It does not hold 1 to `MOST_JOBS` ids.
    """
    body = parse_object(raw, _IDS_EXAMPLE)
    ids = _read_array(body, "job_ids", "ids", _IDS_EXAMPLE)
    for number, job_id in enumerate(ids):
        if not isinstance(job_id, str):
            raise InvalidInputError(
                f"job_ids[{number}] must be the id of a job, got {describe(job_id)}. {_IDS_EXAMPLE}"
            )
    refuse_duplicates(raw, len(body) + len(ids))
    return ids


@contextmanager
def name_job(number: int) -> Iterator[None]:
    """Adds to an error the number of the job in the batch that it is about."""
    try:
        yield
    except InferqError as error:
        message = f"jobs[{number}]: {error.message}"
        raise type(error)(message, retry_after_seconds=error.retry_after_seconds) from error


def _read_array(body: dict[str, Any], name: str, noun: str, example: str) -> list[Any]:
    refuse_unknown(body, (name,), example)
    values = body.get(name)
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_JOBS:
        got = f"{len(values)} of them" if isinstance(values, list) else describe(values)
        if name not in body:
            got = "nothing"
        raise InvalidInputError(f"{name} must be an array of 1 to {MOST_JOBS} {noun}, got {got}. {example}")
    return values


class _ObjectWithDuplicate(dict[str, Any]):
    """An object of which a member was sent twice."""

    member = ""


def _refuse_duplicates_in_batch(raw: bytes) -> None:
    found: list[_ObjectWithDuplicate] = []

    def keep_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = dict(pairs)
        if len(kept) == len(pairs):
            return kept
        names = [name for name, _ in pairs]
        duplicate = _ObjectWithDuplicate(kept)
        duplicate.member = next(name for name in kept if names.count(name) > 1)
        found.append(duplicate)
        return duplicate

    body = json.loads(raw, object_pairs_hook=keep_members)
    for number, job in enumerate(body["jobs"]):
        for part in (job, job.get("data")):
            if isinstance(part, _ObjectWithDuplicate):
                with name_job(number):
                    raise make_duplicate_error(part.member)
    if found:
        raise make_duplicate_error(found[0].member)
