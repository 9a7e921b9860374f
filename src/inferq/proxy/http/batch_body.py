"""Bodies of requests about many jobs, taken apart."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inferq.errors import InferqError, InvalidInputError
from inferq.proxy.http.predict_body import (
    count_strings,
    duplicate_member,
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
    """Takes the body of `POST /predict/batch` apart.

    Args:
        raw: The body as it came.

    Yields:
        Each job, still to be taken apart by itself. An error of the caller's with one of them goes before one
        of the whole.

    Raises:
        InvalidJsonError: The body is no JSON object.
        InvalidInputError: It does not hold 1 to `MOST_JOBS` objects, or has a member twice.
    """
    body = parse_object(raw, _BATCH_EXAMPLE)
    jobs = _array(body, "jobs", "jobs", _BATCH_EXAMPLE)
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
    """Takes the body of `POST /jobs/status` apart.

    Raises:
        InvalidJsonError: It is no JSON object.
        InvalidInputError: It does not hold 1 to `MOST_JOBS` ids.
    """
    body = parse_object(raw, _IDS_EXAMPLE)
    ids = _array(body, "job_ids", "ids", _IDS_EXAMPLE)
    for number, job_id in enumerate(ids):
        if not isinstance(job_id, str):
            raise InvalidInputError(
                f"job_ids[{number}] must be the id of a job, got {describe(job_id)}. {_IDS_EXAMPLE}"
            )
    refuse_duplicates(raw, len(body) + len(ids))
    return ids


@contextmanager
def name_job(number: int) -> Iterator[None]:
    """Makes an error say of which job of a batch it speaks."""
    try:
        yield
    except InferqError as error:
        message = f"jobs[{number}]: {error.message}"
        raise type(error)(message, retry_after_seconds=error.retry_after_seconds) from error


def _array(body: dict[str, Any], name: str, noun: str, example: str) -> list[Any]:
    refuse_unknown(body, (name,), example)
    values = body.get(name)
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_JOBS:
        got = f"{len(values)} of them" if isinstance(values, list) else describe(values)
        if name not in body:
            got = "nothing"
        raise InvalidInputError(f"{name} must be an array of 1 to {MOST_JOBS} {noun}, got {got}. {example}")
    return values


class _Twice(dict[str, Any]):
    """An object that had a member twice."""

    member = ""


def _refuse_duplicates_in_batch(raw: bytes) -> None:
    found: list[_Twice] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = dict(pairs)
        if len(kept) == len(pairs):
            return kept
        names = [name for name, _ in pairs]
        odd = _Twice(kept)
        odd.member = next(name for name in kept if names.count(name) > 1)
        found.append(odd)
        return odd

    body = json.loads(raw, object_pairs_hook=members)
    for number, job in enumerate(body["jobs"]):
        for part in (job, job.get("data")):
            if isinstance(part, _Twice):
                with name_job(number):
                    raise duplicate_member(part.member)
    if found:
        raise duplicate_member(found[0].member)
