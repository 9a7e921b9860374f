"""What both clients do, without doing it: each operation is a generator that yields calls and gets answers.

`Client` and `AsyncClient` differ only in how they make a call and how they pause.
"""

import math
import random
import re
import secrets
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from inferq import jobs
from inferq.client.data import to_data, to_json
from inferq.jobs import ErrorKind, InferqError, NotEndedError, UnexpectedAnswerError, UnreachableError

LONGEST_WAIT_SECONDS = 20.0
"""How long one request waits for a job; a longer wait takes several."""
MOST_JOBS_PER_REQUEST = 10_000
_SHORTEST_WAIT_SECONDS = 0.1
_POLL_SECONDS = 0.5
_OUTAGE_SECONDS = 30.0
"""How long a wait without an end puts up with a service that does not answer."""
_KEY = re.compile("[!-~]{1,255}")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING = (502, 503, 504)
_PROBLEM = "urn:inferq:problem:"

View = dict[str, Any]

_ERRORS: dict[str, type[InferqError]] = {
    one.kind: one
    for one in (
        jobs.InvalidJsonError,
        jobs.InvalidInputError,
        jobs.UnknownModelError,
        jobs.BodyTooLargeError,
        jobs.JobNotFoundError,
        jobs.UnauthorizedError,
        jobs.JobStateError,
        jobs.IdempotencyConflictError,
        jobs.QueueFullError,
        jobs.RedisUnavailableError,
        jobs.NoWorkerError,
        jobs.ModelUnavailableError,
    )
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be made.

    Attributes:
        method: HTTP method.
        path: Path with query.
        body: JSON; None for none.
        headers: Further headers.
        is_safe: Whether it may be made again where no answer came.
        waits_seconds: How long the service may take on purpose.
    """

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_safe: bool = True
    waits_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause to be made, in seconds."""

    seconds: float


type Steps[T] = Generator[Call | Pause, httpx.Response | httpx.TransportError | None, T]


class JobFailedError(InferqError):
    """The job has failed.

    Attributes:
        job: The job as the service shows it; `kind` and `message` are its error's.
    """

    def __init__(self, view: View) -> None:
        super().__init__(view["error"] or "The job has failed.")
        self.job = view
        known = view["error_kind"]
        self.kind = ErrorKind(known) if known in ErrorKind else ErrorKind.MODEL_ERROR


@dataclass(frozen=True, slots=True)
class Options:
    """What is said of a job besides its data; see `Client.submit`."""

    model: str | None = None
    timeout: float | None = None
    priority: str | None = None
    webhook: str | None = None

    def body(self, data: Any) -> View:  # noqa: ANN401 - whatever users hold
        """The body of a request for a job."""
        members = {
            "model": self.model,
            "timeout": self.timeout,
            "priority": self.priority,
            "webhook": self.webhook,
        }
        return {"data": to_data(data)} | {name: value for name, value in members.items() if value is not None}


def make(call: Call, retries: int) -> Steps[httpx.Response]:
    """Makes a call, and makes it again where that is safe and may help.

    Raises:
        InferqError: The service refused it, or did not answer.
    """
    further = pauses(retries if call.is_safe else 0)
    while True:
        answer = yield call
        if isinstance(answer, httpx.Response) and answer.is_success:
            return answer
        error = error_of(call, answer)
        told = error.retry_after_seconds or 0.0
        pause = next(further, None)
        if pause is None or not is_passing(answer) or told > _LONGEST_PAUSE_SECONDS:
            raise error
        yield Pause(told + pause)


def pauses(count: int) -> Iterator[float]:
    """Yields so many pauses, in seconds, each about twice as long as the one before."""
    for number in range(count):
        longest = min(_FIRST_PAUSE_SECONDS * 2.0**number, _LONGEST_PAUSE_SECONDS)
        yield random.uniform(longest / 2, longest)  # noqa: S311


def is_passing(answer: httpx.Response | httpx.TransportError | None) -> bool:
    """Whether it may be another one soon."""
    return not isinstance(answer, httpx.Response) or answer.status_code in _PASSING


def document_of(call: Call, answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """The JSON of an answer.

    Raises:
        UnexpectedAnswerError: It is none.
    """
    try:
        return answer.json()
    except ValueError as error:
        raise _unexpected(call, answer) from error


def ask(call: Call, retries: int) -> Steps[Any]:
    """Makes a call as `make` does, and returns the JSON of its answer."""
    return document_of(call, (yield from make(call, retries)))


def _unexpected(call: Call, answer: httpx.Response) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        f"{call.method} {call.path} was answered with {answer.status_code} {answer.reason_phrase}, in a way "
        "in which inferq does not answer. Is this the address of an inferq service?"
    )


def error_of(call: Call, answer: httpx.Response | httpx.TransportError | None) -> InferqError:
    """The error that an answer without success, or none, stands for."""
    if answer is None or isinstance(answer, httpx.TransportError):
        return unreachable(f"{call.method} {call.path}", answer or httpx.TransportError("no answer"))
    try:
        problem = answer.json()
        kind, detail = problem["type"].removeprefix(_PROBLEM), problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return _unexpected(call, answer)
    after = answer.headers.get("retry-after", "")
    seconds = float(after) if after.isdigit() else None
    return _ERRORS.get(kind, UnexpectedAnswerError)(detail, retry_after_seconds=seconds, problem=problem)


def job_path(job_id: str, action: str = "") -> str:
    """The path of a job, or of what is done with it.

    Raises:
        JobNotFoundError: No path says this id: it would mean another one.
    """
    if any(part in ("", ".", "..") for part in job_id.split("/")) or not _is_text(job_id):
        raise jobs.JobNotFoundError(f"There is no job {job_id!r}: no job's id is like that.")
    return f"/job/{quote(job_id)}{action}"


def model_path(name: str) -> str:
    """The path of a model.

    Raises:
        UnknownModelError: No path says this name.
    """
    if not _is_text(name):
        raise jobs.UnknownModelError(f"There is no model {name!r}: no model's name is like that.")
    return f"/models/{quote(name, safe='')}"


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: not what a terminal gives for bytes that are none."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def unreachable(what: str, error: httpx.TransportError) -> UnreachableError:
    """The error for a service that did not answer."""
    return UnreachableError(f"The service did not answer {what}: {str(error) or type(error).__name__}.")


def get(path: str, retries: int) -> Steps[Any]:
    """Reads JSON."""
    return (yield from ask(Call("GET", path), retries))


def submit(data: Any, options: Options, key: str | None, retries: int) -> Steps[str]:  # noqa: ANN401
    """Submits a job and returns its id. With a key of its own it can be repeated without harm."""
    key = secrets.token_hex(16) if key is None else key
    if not _KEY.fullmatch(key):
        raise jobs.InvalidInputError(
            "An idempotency key must be 1 to 255 visible ASCII characters, such as a UUID."
        )
    call = Call("POST", "/predict", to_json(options.body(data)), {"Idempotency-Key": key})
    return str((yield from ask(call, retries))["job_id"])


def submit_many(items: Iterable[Any], options: Options, retries: int) -> Steps[list[str]]:
    """Submits jobs, as many in one request as the service takes, and returns their ids."""
    bodies = [options.body(data) for data in items]
    ids: list[str] = []
    for first in range(0, len(bodies), MOST_JOBS_PER_REQUEST):
        body = to_json({"jobs": bodies[first : first + MOST_JOBS_PER_REQUEST]})
        call = Call("POST", "/predict/batch", body, {"Idempotency-Key": secrets.token_hex(16)})
        ids += (yield from ask(call, retries))["job_ids"]
    return ids


def read(job_id: str, retries: int, wait: float = 0.0) -> Steps[View]:
    """Reads a job; with `wait` seconds it waits for the end."""
    path = job_path(job_id) + (f"?wait={wait:.3f}" if wait else "")
    view: View = yield from ask(Call("GET", path, waits_seconds=wait), retries)
    return view


def cancel(job_id: str, retries: int) -> Steps[View]:
    """Cancels a job. One that was cancelled before, perhaps by a request whose answer was lost, is well."""
    try:
        view: View = yield from ask(Call("DELETE", job_path(job_id)), retries)
    except jobs.JobStateError:
        view = yield from read(job_id, retries)
        if view["error_kind"] != ErrorKind.CANCELLED:
            raise
    return view


def cancel_waiting(model: str, retries: int) -> Steps[int]:
    """Cancels the jobs of a model that wait; returns how many."""
    query = httpx.QueryParams({"model": model, "status": "pending"})
    return int((yield from ask(Call("DELETE", f"/jobs?{query}"), retries))["cancelled"])


def retry(job_id: str) -> Steps[None]:
    """Puts a failed job in line again."""
    yield from make(Call("POST", job_path(job_id, "/retry"), is_safe=False), 0)


def has_ended(view: View) -> bool:
    """Whether a job will never change again."""
    return view["status"] in ("completed", "failed")


def wait(job_id: str, seconds: float | None, retries: int) -> Steps[View]:
    """Waits for a job's end.

    Args:
        job_id: The job's id.
        seconds: Longest wait; None for ever.
        retries: How often a request is repeated.

    Raises:
        NotEndedError: The time was up.
    """
    patience = _Patience(seconds)
    longest = LONGEST_WAIT_SECONDS
    while True:
        asked, began = max(0.0, min(patience.left, longest)), time.monotonic()
        try:
            view = yield from read(job_id, retries, asked)
        except jobs.InvalidInputError:  # the service lets nobody wait so long
            if not longest:
                raise
            longest = longest / 4 if longest > _SHORTEST_WAIT_SECONDS else 0.0
            continue
        except (UnreachableError, jobs.RedisUnavailableError) as error:
            yield patience.after(error)
            continue
        if has_ended(view):
            return view
        patience.forgive()
        if patience.left <= 0:
            raise NotEndedError(
                f"Job {job_id!r} has not ended within {seconds:g} s; it is {view['status']}. It goes on: "
                "wait again, or cancel it.",
                job_id,
            )
        if (
            time.monotonic() - began < asked / 2 or not asked
        ):  # the service is about to stop, or lets nobody wait
            yield Pause(min(_POLL_SECONDS, patience.left))


class _Patience:
    """How long a wait still lasts, and how long it puts up with a service that does not answer."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._failing_since: float | None = None

    @property
    def left(self) -> float:
        return self._deadline - time.monotonic()

    def forgive(self) -> None:
        self._failing_since = None

    def after(self, error: InferqError) -> Pause:
        """The pause after a failure, which is raised where patience is at an end."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if self.left <= 0 or (self._deadline == math.inf and now - self._failing_since > _OUTAGE_SECONDS):
            raise error
        return Pause(min(_POLL_SECONDS, self.left))


def wait_all(ids: Sequence[str], retries: int) -> Steps[list[View]]:
    """Waits for the ends of jobs, with few requests: for the first one, then for all that have ended by then.

    Raises:
        JobNotFoundError: One of them is not known any more.
    """
    views: dict[str, View] = {}
    while missing := [job_id for job_id in ids if job_id not in views]:
        views[missing[0]] = yield from wait(missing[0], None, retries)
        for first in range(1, len(missing), MOST_JOBS_PER_REQUEST):
            some = missing[first : first + MOST_JOBS_PER_REQUEST]
            call = Call("POST", "/jobs/status", to_json({"job_ids": some}))
            found = (yield from ask(call, retries))["jobs"]
            views |= {view["job_id"]: view for view in found if view is not None and has_ended(view)}
    return [views[job_id] for job_id in ids]


def result_of(view: View) -> Any:  # noqa: ANN401 - as the model gives it
    """The result of an ended job.

    Raises:
        JobFailedError: It has failed.
    """
    if view["status"] == "failed":
        raise JobFailedError(view)
    return view["result"]


def pages(status: str | None, model: str | None, limit: int, cursor: str | None, retries: int) -> Steps[View]:
    """Reads one page of jobs."""
    wanted = {"status": status, "model": model, "limit": str(limit), "cursor": cursor}
    query = httpx.QueryParams({name: value for name, value in wanted.items() if value is not None})
    page: View = yield from get(f"/jobs?{query}", retries)
    return page
