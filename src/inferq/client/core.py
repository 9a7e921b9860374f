"""What both clients do, without doing it: each operation is a generator that yields calls and gets answers.

`Client` and `AsyncClient` differ only in how they make a call and how they pause.
"""

import math
import random
import re
import secrets
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from inferq import errors
from inferq.client.data_frames import fit, has_names, is_table
from inferq.client.encoding import write_json
from inferq.client.service_url import unexpected, unreachable
from inferq.errors import ErrorKind, InferqError, NotEndedError, UnexpectedAnswerError, UnreachableError

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
_DOCUMENT_SECONDS = 5.0
"""How long a model's document is believed; another one may be in its place by then."""
_ENVELOPE_BYTES = 100
"""More than is around the jobs of a list."""

View = dict[str, Any]

_ERRORS: dict[str, type[InferqError]] = {
    one.kind: one
    for one in (
        errors.InvalidJsonError,
        errors.InvalidInputError,
        errors.UnknownModelError,
        errors.BodyTooLargeError,
        errors.UnsupportedEncodingError,
        errors.RequestTimeoutError,
        errors.OverloadedError,
        errors.JobNotFoundError,
        errors.UnauthorizedError,
        errors.JobStateError,
        errors.IdempotencyConflictError,
        errors.QueueFullError,
        errors.RedisUnavailableError,
        errors.NoWorkerError,
        errors.ModelUnavailableError,
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

    def body(self, data: bytes) -> bytes:
        """The body of a request for a job, with this JSON as its data."""
        members = {
            "model": self.model,
            "timeout": self.timeout,
            "priority": self.priority,
            "webhook": self.webhook,
        }
        rest = write_json({name: value for name, value in members.items() if value is not None})
        return b'{"data":' + data + (b"," + rest[1:] if len(rest) > 2 else rest[1:])


@dataclass(slots=True)
class Learned:
    """What a client has learned of its service.

    Attributes:
        documents: When a model's document was read (by the monotonic clock), and the document; by the model's
            name, None for the default model.
        largest_body_bytes: The longest body that it is thought to take; its own default to begin with.
    """

    documents: dict[str | None, tuple[float, View]] = field(default_factory=dict)
    largest_body_bytes: int = 16 * 1024 * 1024


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
        raise unexpected(f"{call.method} {call.path}", answer) from error


def ask(call: Call, retries: int) -> Steps[Any]:
    """Makes a call as `make` does, and returns the JSON of its answer."""
    return document_of(call, (yield from make(call, retries)))


def error_of(call: Call, answer: httpx.Response | httpx.TransportError | None) -> InferqError:
    """The error that an answer without success, or none, stands for."""
    if answer is None or isinstance(answer, httpx.TransportError):
        return unreachable(f"{call.method} {call.path}", answer or httpx.TransportError("no answer"))
    try:
        problem = answer.json()
        kind, detail = problem["type"].removeprefix(_PROBLEM), problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return unexpected(f"{call.method} {call.path}", answer)
    if kind == ErrorKind.UNAUTHORIZED:
        detail = f"{detail} The client sends the key that INFERQ_API_KEY or api_key holds."
    after = answer.headers.get("retry-after", "")
    seconds = float(after) if after.isdigit() else None
    return _ERRORS.get(kind, UnexpectedAnswerError)(detail, retry_after_seconds=seconds, problem=problem)


def job_path(job_id: str, action: str = "") -> str:
    """The path of a job, or of what is done with it.

    Raises:
        JobNotFoundError: No path says this id: it would mean another one.
    """
    if any(part in ("", ".", "..") for part in job_id.split("/")) or not _is_text(job_id):
        raise errors.JobNotFoundError(f"There is no job {job_id!r}: no job's id is like that.")
    return f"/job/{quote(job_id)}{action}"


def model_path(name: str) -> str:
    """The path of a model.

    Raises:
        UnknownModelError: No path says this name.
    """
    if not _is_text(name):
        raise errors.UnknownModelError(f"There is no model {name!r}: no model's name is like that.")
    return f"/models/{quote(name, safe='')}"


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: not what a terminal gives for bytes that are none."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def get(path: str, retries: int) -> Steps[Any]:
    """Reads JSON."""
    return (yield from ask(Call("GET", path), retries))


def submit(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: Options,
    key: str | None,
    learned: Learned,
    retries: int,
) -> Steps[str]:
    """Submits a job and returns its id. With a key of its own it can be repeated without harm.

    Raises:
        InvalidInputError: The key, or something in the data, cannot be sent.
    """
    key = secrets.token_hex(16) if key is None else key
    if not _KEY.fullmatch(key):
        raise errors.InvalidInputError(
            "An idempotency key must be 1 to 255 visible ASCII characters, such as a UUID."
        )
    body = yield from _body_of(data, options, learned, retries)
    call = Call("POST", "/predict", body, {"Idempotency-Key": key})
    return str((yield from ask(call, retries))["job_id"])


def _body_of(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: Options,
    learned: Learned,
    retries: int,
) -> Steps[bytes]:
    """The body of a request for a job. The model's document is read where data has names of columns."""
    if has_names(data):
        known = learned.documents.get(options.model)
        try:
            data = fit(data, (yield from _document(options.model, learned, retries)))
        except errors.NoWorkerError:
            if not isinstance(data, Mapping):
                raise
            # named inputs are taken for a model that no worker has announced yet
        except errors.InvalidInputError:
            if learned.documents.pop(options.model, None) is not known:
                raise
            data = fit(data, (yield from _document(options.model, learned, retries)))  # that was an old one
    return options.body(write_json(data))


def _document(model: str | None, learned: Learned, retries: int) -> Steps[View]:
    """A model's document, as it was not long ago."""
    known = learned.documents.get(model)
    if known is None or time.monotonic() - known[0] > _DOCUMENT_SECONDS:
        path = "/metadata" if model is None else model_path(model)
        known = learned.documents[model] = (time.monotonic(), (yield from get(path, retries)))
    return known[1]


class Feed:
    """Items on their way to the service: submitted in groups, as many in one request as it takes.

    Args:
        items: The data of each job, read as it is needed.
        options: What is said of each job.
        learned: What is known of the service.
        retries: How often a request is repeated.
        largest_group: Most jobs in one request.

    Raises:
        InvalidInputError: The items are one thing, not several.
    """

    def __init__(
        self,
        items: Iterable[Any],
        options: Options,
        learned: Learned,
        retries: int,
        largest_group: int = MOST_JOBS_PER_REQUEST,
    ) -> None:
        if is_table(items) or isinstance(items, Mapping | str | bytes):
            raise errors.InvalidInputError(
                f"items must be a list of the data of several jobs, got one {type(items).__name__}. Submit "
                "it as one job, or cut it into several: [frame.iloc[0:100], frame.iloc[100:200]]."
            )
        self._items = iter(items)
        self._options = options
        self._learned = learned
        self._retries = retries
        self._largest_group = largest_group
        self._bodies: deque[bytes] = deque()

    def submit_all(self) -> Steps[list[str]]:
        """Submits all items, once each of them could be written, and returns the ids."""
        while (yield from self._read_one()):
            pass
        ids: list[str] = []
        while group := (yield from self.submit_group()):
            ids += group
        return ids

    def submit_group(self) -> Steps[list[str]]:
        """Submits the next items, and returns their ids; none where there are no more."""
        group: list[bytes] = []
        size = _ENVELOPE_BYTES
        while len(group) < self._largest_group and (self._bodies or (yield from self._read_one())):
            size += len(self._bodies[0]) + 1
            if group and size > self._learned.largest_body_bytes:
                break
            group.append(self._bodies.popleft())
        if not group:
            return []
        body = b'{"jobs":[' + b",".join(group) + b"]}"
        call = Call("POST", "/predict/batch", body, {"Idempotency-Key": secrets.token_hex(16)})
        try:
            ids: list[str] = (yield from ask(call, self._retries))["job_ids"]
        except errors.BodyTooLargeError:
            if len(group) == 1:
                raise
            self._learned.largest_body_bytes = len(body) // 2
            self._bodies.extendleft(reversed(group))
            ids = yield from self.submit_group()
        return ids

    def _read_one(self) -> Steps[bool]:
        """Reads the next item, and returns whether there was one."""
        for item in self._items:
            self._bodies.append((yield from _body_of(item, self._options, self._learned, self._retries)))
            return True
        return False


def read(job_id: str, retries: int, wait: float = 0.0) -> Steps[View]:
    """Reads a job; with `wait` seconds it waits for the end."""
    path = job_path(job_id) + (f"?wait={wait:.3f}" if wait else "")
    view: View = yield from ask(Call("GET", path, waits_seconds=wait), retries)
    return view


def cancel(job_id: str, retries: int) -> Steps[View]:
    """Cancels a job. One that was cancelled before, perhaps by a request whose answer was lost, is well."""
    try:
        view: View = yield from ask(Call("DELETE", job_path(job_id)), retries)
    except errors.JobStateError:
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
        except errors.InvalidInputError:  # the service lets nobody wait so long
            if not longest:
                raise
            longest = longest / 4 if longest > _SHORTEST_WAIT_SECONDS else 0.0
            continue
        except (UnreachableError, errors.RedisUnavailableError) as error:
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
        # the service is about to stop, or lets nobody wait
        if time.monotonic() - began < asked / 2 or not asked:
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
            while some:
                answer = yield from ask(Call("POST", "/jobs/status", write_json({"job_ids": some})), retries)
                found = (view for view in answer["jobs"] if view is not None and has_ended(view))
                views |= {view["job_id"]: view for view in found}
                some = answer.get("left_out", [])  # where results are large they come in several answers
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
