"""Processes for work that would block the event loop.

To parse 16 MB of JSON takes 0.3 to 3 s, in one call that holds the interpreter's lock: a thread would keep
the loop waiting as well.
"""

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, cast

from inferq.errors import InferqError, OverloadedError

LONGEST_ON_LOOP_BYTES = 65536
"""A shorter body is parsed on the event loop: that takes 10 ms at worst, and a call of a process 0.2 ms."""

_FEWEST, _MOST = 2, 4
_LONGEST_WAIT_SECONDS = 5.0
_IDLE_SECONDS = 60.0
_NICENESS = 5
_PIPE_BYTES = 1024 * 1024
"""Of each pipe, instead of 64 KiB: both ends wake up less often. The most that Linux lets every user have."""


class ProcessPool:
    """Runs functions in other processes, which start when they are needed and end when they are idle.

    A function that never returns occupies its process for ever.

    Args:
        wait_seconds: Longest wait for a free process.
    """

    def __init__(self, wait_seconds: float = _LONGEST_WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(max(_FEWEST, min(_MOST, os.process_cpu_count() or 1)))
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def call[T](self, function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - as the function has them
        """Calls a function of a module, with arguments that can be pickled.

        Returns:
            What the function returns; an `InferqError` that it raises is raised here.

        Raises:
            OverloadedError: All processes are busy and stay so, or the process has died.
        """
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise OverloadedError(
                "Too many long request bodies are being read at the moment. Try again later, or send them "
                "one after the other."
            ) from error
        try:
            process = self._take_idle() or _start()
            try:
                is_good, outcome = await asyncio.to_thread(_ask, process, (function, arguments))
            except BaseException:
                # also if this is cancelled: the next call would read the answer that is left over
                process.kill()
                _end(process)
                raise
            self._rest(process)
        finally:
            self._free.release()
        if not is_good:
            try:
                raise outcome
            finally:
                del outcome  # its traceback refers to this frame, and so to the arguments: a cycle
        return cast("T", outcome)

    def close(self) -> None:
        """Ends the idle processes."""
        if self._timer is not None:
            self._timer.cancel()
        for process in self._idle:
            _end(process)
        self._idle.clear()

    def _take_idle(self) -> subprocess.Popen[bytes] | None:
        while self._idle:
            process = self._idle.pop()
            if process.poll() is None:
                return process
            _end(process)
        return None

    def _rest(self, process: subprocess.Popen[bytes]) -> None:
        self._idle.append(process)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close)


def _start() -> subprocess.Popen[bytes]:
    # in its own session, so that Ctrl-C does not reach it: it ends with its standard input
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "inferq.proxy.services.process_pool"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        pipesize=_PIPE_BYTES if sys.platform == "linux" else -1,
    )


def _ask(process: subprocess.Popen[bytes], request: object) -> tuple[bool, Any]:
    requests, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    try:
        pickle.dump(request, requests)
        requests.flush()
        answer: tuple[bool, Any] = pickle.load(answers)  # noqa: S301 - from a process of ours
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise OverloadedError(
            "The process that read the request body was ended, as a system does that runs out of memory. "
            "Try again later, or send less at once."
        ) from error
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it has not read is still in the buffer
                pipe.close()
    process.wait()


def main() -> None:
    """Serves a pool: takes calls from standard input until that ends, and answers on standard output."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    os.nice(_NICENESS)  # the process that serves all clients comes first
    gc.disable()  # JSON has no cycles, but errors have: they are collected between two calls
    with suppress(EOFError, BrokenPipeError):
        while True:
            function, arguments = pickle.load(requests)  # noqa: S301 - from the process that started this one
            try:
                outcome = True, function(*arguments)
            except InferqError as error:
                outcome = False, error
            except Exception:  # noqa: BLE001 - logged where it is raised again
                outcome = False, RuntimeError(traceback.format_exc())
            del arguments
            pickle.dump(outcome, answers)
            answers.flush()
            del outcome
            gc.collect()
            gc.freeze()  # modules and validators stay: to look through them each time would take 7 ms
    os._exit(0)  # at once: the pool waits for it


if __name__ == "__main__":
    main()
