"""The requests of the HTTP interface, each as steps: one for each thing that a client can do."""

import re
import secrets
from pathlib import Path
from typing import Any

import httpx
from pydantic_core import from_json

from inferq.client.answers import View, make_error, read_json, warn_if_partial
from inferq.client.arrays import has_numpy, list_values, read_result_arrays
from inferq.client.job_body import JobOptions, ServiceCache, make_job_call
from inferq.client.media import open_file
from inferq.client.paths import make_job_path
from inferq.client.steps import Call, Steps, ask, make_call
from inferq.errors import ErrorKind, InvalidInputError, JobStateError, NotAcceptableError
from inferq.jobs import IDEMPOTENCY_KEY
from inferq.tensors.file_types import NPY, NPZ

_RESULT_FORMS = {
    ".npy": NPY.media_type,
    ".npz": NPZ.media_type,
    ".json": "application/json",
    ".bin": "application/octet-stream",
}
"""In which form a result is saved, by the end of the file's name."""


def submit(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: JobOptions,
    key: str | None,
    cache: ServiceCache,
    retries: int,
) -> Steps[str]:
    """Submits a job and returns its id. It has an idempotency key, so that it can be repeated.

    Raises:
        InvalidInputError: The key, the request id or something in the data cannot be sent.
    """
    key = secrets.token_hex(16) if key is None else key
    if not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise InvalidInputError(
            "An idempotency key must be 1 to 255 visible ASCII characters, such as a UUID."
        )
    call = yield from make_job_call(data, options, key, cache, retries)
    return str((yield from ask(call, retries))["job_id"])


def upload(file: Path | bytes, retries: int) -> Steps[dict[str, str]]:
    """Puts a file where the service says, and returns what stands for it in data.

    Raises:
        InvalidInputError: The file cannot be read.
    """
    body = open_file(file) if isinstance(file, Path) else bytes(file)
    issued = yield from ask(Call("POST", "/uploads"), retries)
    put = issued["put"]
    headers = {"Content-Type": "application/octet-stream", **put["headers"]}
    is_outside = not put["url"].startswith("/")
    yield from make_call(Call("PUT", put["url"], body, headers, is_outside=is_outside), retries)
    reference: dict[str, str] = issued["reference"]
    return reference


def get(path: str, retries: int) -> Steps[Any]:
    """Reads JSON."""
    return (yield from ask(Call("GET", path), retries))


def read_job(job_id: str, retries: int, wait_seconds: float = 0.0) -> Steps[View]:
    """Reads a job, as soon as it has ended or the wait is over."""
    path = make_job_path(job_id) + (f"?wait={wait_seconds:.3f}" if wait_seconds else "")
    view: View = yield from ask(Call("GET", path, waits_seconds=wait_seconds), retries)
    return view


def read_whole_result(view: View, retries: int) -> Steps[Any]:
    """Returns the result of a completed job, which is read by itself where the job has but a summary of it.

    With NumPy its bytes are read, and lists made of them here: of millions of floats that is many times as
    fast as JSON.
    """
    result = view["result"]
    path = make_job_path(view["job_id"], "/result")
    if not isinstance(result, dict) or result.get("href") != path:
        return result
    if has_numpy():
        arrays = yield from read_arrays(view["job_id"], retries)
        return {"outputs": {name: list_values(array) for name, array in arrays.items()}}
    return (yield from ask(Call("GET", path, headers={"Accept": "application/json"}), retries))


def read_arrays(job_id: str, retries: int) -> Steps[dict[str, Any]]:
    """Reads the result of a completed job as arrays.

    Raises:
        InvalidInputError: NumPy is not installed.
        NotAcceptableError: It has labels, or is something else than arrays.
    """
    answer, head_bytes = yield from _read_binary(job_id, "", retries)
    return read_result_arrays(answer, head_bytes)


def read_values(job_id: str, output: str | None, retries: int) -> Steps[bytes]:
    """Reads the values of one output of a completed job, as a raw tensor has them.

    Args:
        job_id: The job's id.
        output: Name of the output; None for the only one.
        retries: How often a request is repeated.

    Raises:
        InvalidInputError: There is no such output, or there are several, and none was chosen.
        NotAcceptableError: It is no tensor.
    """
    query = "" if output is None else f"?{httpx.QueryParams({'output': output})}"
    answer, head_bytes = yield from _read_binary(job_id, query, retries)
    names = [entry["name"] for entry in from_json(answer[:head_bytes])["outputs"]]
    if len(names) != 1:
        raise InvalidInputError(
            f"The result has {len(names)} outputs, and values alone are those of one: choose one of "
            f"{', '.join(map(repr, names))}."
        )
    return answer[head_bytes:]


def _read_binary(job_id: str, query: str, retries: int) -> Steps[tuple[bytes, int]]:
    """Reads the protocol's binary answer; returns it, and how long its head is."""
    path = make_job_path(job_id, "/result") + query
    answer = yield from make_call(Call("GET", path, headers={"Accept": _RESULT_FORMS[".bin"]}), retries)
    length = answer.headers.get("inference-header-content-length", "")
    if not length.isdigit():
        raise NotAcceptableError(f"The result of job {job_id!r} is no arrays: another program has stored it.")
    return answer.content, int(length)


def save_result(job_id: str, path: Path, output: str | None, retries: int) -> Steps[None]:
    """Writes the result of a completed job to a file, in the form that the end of its name says.

    Raises:
        InvalidInputError: There is no such form, no such output, or the file cannot be written.
        NotAcceptableError: The result cannot be had in that form.
    """
    media_type = _RESULT_FORMS.get(path.suffix.lower())
    if media_type is None:
        raise InvalidInputError(
            f"{path} must end in one of {', '.join(_RESULT_FORMS)}: that says in which form the result is "
            "saved."
        )
    query = "" if output is None else f"?{httpx.QueryParams({'output': output})}"
    headers = {"Accept": media_type}
    call = Call("GET", make_job_path(job_id, "/result") + query, headers=headers, save_to=path)
    yield from make_call(call, retries)


def read_health() -> Steps[View]:
    """Reads how the service is, which answers 503 where it is not well.

    Raises:
        UnreachableError: It did not answer.
        UnexpectedAnswerError: Something else answered.
    """
    call = Call("GET", "/health")
    answer = yield call
    if not isinstance(answer, httpx.Response):
        raise make_error(str(call), answer) from answer
    health: View = read_json(str(call), answer)
    return health


def cancel(job_id: str, retries: int) -> Steps[View]:
    """Cancels a job. It is no error if it is cancelled already: a first answer may have been lost."""
    try:
        view: View = yield from ask(Call("DELETE", make_job_path(job_id)), retries)
    except JobStateError:
        view = yield from read_job(job_id, retries)
        if view["error_kind"] != ErrorKind.CANCELLED:
            raise
    return view


def cancel_waiting(model: str, retries: int) -> Steps[int]:
    """Cancels the waiting jobs of a model, and returns how many."""
    query = httpx.QueryParams({"model": model, "status": "pending"})
    answer: View = yield from ask(Call("DELETE", f"/jobs?{query}"), retries)
    warn_if_partial(answer)
    return int(answer["cancelled"])


def retry(job_id: str) -> Steps[None]:
    """Queues a failed job again."""
    yield from make_call(Call("POST", make_job_path(job_id, "/retry"), is_safe=False), 0)
