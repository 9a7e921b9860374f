"""Child processes that are kept running: started, started again when they die, and stopped together."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from inferq.errors import ErrorKind, InferqError
from inferq.processes import PARENT_VARIABLE

FATAL_PREFIX = "inferq "
"""Begins the one line in which a program of ours says why it cannot start."""

FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 10.0
"""A child that lived so long starts again after the shortest pause."""
_MOST_DEATHS_AT_START = 3
_LONGEST_LINE_BYTES = 64 * 1024
_CANNOT_EXECUTE = 126
"""The exit code by which shells, too, say that a program could not be started."""


class ChildFailedError(InferqError):
    """A child ended before the service was ready."""

    kind = ErrorKind.INVALID_SETTING


@dataclass(slots=True)
class Child:
    """One program to keep running.

    Attributes:
        name: What its log lines are marked with.
        command: Program and arguments.
        environment: Its whole environment.
        kept_open: File descriptors that it inherits.
        is_server: Whether the others need it: it is stopped after them.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    kept_open: Sequence[int] = ()
    is_server: bool = False
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    last_line: str = field(default="", init=False)


class Supervisor:
    """Keeps children running until told to stop.

    Args:
        echo: Called with each line of a child: the child's name, and the line.
    """

    def __init__(self, echo: Callable[[str, str], None]) -> None:
        self._echo = echo
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.is_ready = False
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, child: Child) -> None:
        """Starts a child and keeps it running.

        Until `is_ready` is set, a child that exits by itself, or is killed three times, is a failure instead:
        `failure` then holds the reason.
        """
        self._children.append(child)
        self._keepers.append(asyncio.create_task(self._keep(child)))

    async def stop(self, seconds: float) -> None:
        """Tells all children to stop, and kills those that do not.

        The servers, on which the others depend, are told last, when the others have ended.

        Args:
            seconds: How long they may take.
        """
        self._stopping.set()
        deadline = time.monotonic() + seconds
        await self._end([child for child in self._children if not child.is_server], deadline - 1)
        await self._end([child for child in self._children if child.is_server], deadline)
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _end(self, children: Sequence[Child], deadline: float) -> None:
        running = [child.process for child in children if child.process and child.process.returncode is None]
        for process in running:
            process.terminate()
        waits = [asyncio.create_task(process.wait()) for process in running]
        if waits:
            await asyncio.wait(waits, timeout=max(0.0, deadline - time.monotonic()))
        for process in running:
            if process.returncode is None:
                process.kill()

    async def _keep(self, child: Child) -> None:
        pause, deaths = FIRST_PAUSE_SECONDS, 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run(child)
            if self._stopping.is_set():
                return
            deaths += 1
            if not self.is_ready and (code >= 0 or deaths >= _MOST_DEATHS_AT_START):
                self._fail(child, code)
                return
            if time.monotonic() - started > _STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._echo("up", f"{child.name} ended ({_describe_exit(code)}); it starts again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run(self, child: Child) -> int:
        # a session of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops all in order
        try:
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                env=child.environment | {PARENT_VARIABLE: str(os.getpid())},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                pass_fds=child.kept_open,
            )
        except OSError as error:  # no memory, or the program is being replaced: it may be there next time
            child.last_line = f"{child.command[0]} cannot be started: {error.strerror}."
            if self.is_ready:
                self._echo(child.name, child.last_line)
            return _CANNOT_EXECUTE
        if self._stopping.is_set():
            child.process.terminate()
        assert child.process.stdout is not None  # noqa: S101 - it was asked for above
        async for line in _read_lines(child.process.stdout):
            child.last_line = line or child.last_line
            if self.is_ready or not line.startswith(FATAL_PREFIX):
                self._echo(child.name, line)
        return await child.process.wait()

    def _fail(self, child: Child, code: int) -> None:
        reason = child.last_line if code > 0 and child.last_line else f"it ended with {_describe_exit(code)}."
        if not self.failure.done():
            self.failure.set_exception(ChildFailedError(f"{child.name} did not start: {reason}"))


def _describe_exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


async def _read_lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yields the lines of a stream; a line over 64 KiB comes in pieces, since `readline` refuses it."""
    rest = b""
    while chunk := await stream.read(_LONGEST_LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip()
    if rest:
        yield rest.decode("utf-8", "replace").rstrip()
