"""What both clients do, without doing it: an operation is a generator that asks for requests and pauses.

`Client` and `AsyncClient` differ only in how they make a request and how they pause.
"""

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from inferq.client.answers import is_transient, make_error, read_json
from inferq.client.media import ContentInPieces, FileOnDisk

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be made.

    Attributes:
        method: HTTP method.
        path: Path with query.
        body: JSON, or bytes of a type that `headers` names; a file is read while it is sent.
        headers: Further headers.
        is_safe: Whether it may be made again where no answer came.
        waits_seconds: How long the service may take on purpose.
        save_to: File to write the body of a successful answer to, while it comes.
        is_outside: Whether `path` is the URL of another server, which must not have the key.
    """

    method: str
    path: str
    body: bytes | FileOnDisk | ContentInPieces | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_safe: bool = True
    waits_seconds: float = 0.0
    save_to: Path | None = None
    is_outside: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause to be made, in seconds."""

    seconds: float


type Steps[T] = Generator[Call | Pause, httpx.Response | httpx.TransportError | None, T]
"""Yields calls and pauses, is sent the answer to each call and None after a pause, and returns a T."""


def make_call(call: Call, retries: int) -> Steps[httpx.Response]:
    """Makes a call, and makes it again where that is safe and may help.

    Args:
        call: The call.
        retries: How often it may be made again.

    Returns:
        An answer of success.

    Raises:
        InferqError: The service refused it, or did not answer.
    """
    pauses = choose_pauses(retries if call.is_safe else 0)
    while True:
        answer = yield call
        if isinstance(answer, httpx.Response) and answer.is_success:
            return answer
        error = make_error(str(call), answer)
        asked_seconds = error.retry_after_seconds or 0.0
        pause = next(pauses, None)
        if pause is None or not is_transient(answer) or asked_seconds > _LONGEST_PAUSE_SECONDS:
            raise error
        yield Pause(asked_seconds + pause)


def ask(call: Call, retries: int) -> Steps[Any]:
    """Makes a call as `make_call` does, and returns the JSON of its answer."""
    return read_json(str(call), (yield from make_call(call, retries)))


def choose_pauses(count: int) -> Iterator[float]:
    """Yields as many pauses, in seconds, each about twice as long as the one before."""
    for number in range(count):
        longest = min(_FIRST_PAUSE_SECONDS * 2.0**number, _LONGEST_PAUSE_SECONDS)
        yield random.uniform(longest / 2, longest)  # noqa: S311
