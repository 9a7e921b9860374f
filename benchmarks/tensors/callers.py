"""Callers with blocking sockets, each of which sends one request again and again: cheaper than any client."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles

from benchmarks.processes import BenchmarkError
from benchmarks.tensors.process_tree import measure_peak_bytes, measure_seconds

_LONGEST_ANSWER_SECONDS = 90.0
_MOST_PATIENCE = 6
_CHUNK_BYTES = 1024 * 1024
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class CallerLoad:
    """What callers saw in the seconds that count, and what the server spent.

    Attributes:
        per_second: Requests answered.
        p50_ms: Median time of a request.
        p99_ms: 99th percentile of the same.
        cpu_ms: Processor time of the server's processes, for each request.
        peak_bytes: Largest resident memory of the server's processes.
        busy: Share of one processor that the callers took themselves.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    peak_bytes: int
    busy: float

    def __str__(self) -> str:
        return (
            f"{self.per_second:,.0f} req/s, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, "
            f"{self.cpu_ms:.2f} ms of processor time, {self.peak_bytes / 1e6:,.0f} MB"
        )


class Connection:
    """A connection on loopback that is kept."""

    def __init__(self, port: int) -> None:
        """Connects.

        Args:
            port: Where the server listens.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, status: int = 200) -> bytes:
        """Sends a request and returns the body of the answer.

        Args:
            request: The whole request.
            status: The status that is expected.

        Raises:
            BenchmarkError: The answer has another one, or the connection is closed.
            OSError: Nothing comes in time.
        """
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            self._receive(received)
        head = bytes(received[:end]).lower()
        del received[: end + 4]
        _, _, length = head.partition(b"content-length:")
        if length:
            missing = int(length.split(b"\r\n", 1)[0])
            while len(received) < missing:
                self._receive(received)
        elif b"transfer-encoding" in head:
            while not received.endswith(_LAST_CHUNK):
                self._receive(received)
            received = _join_chunks(received)
        if head[9:12] != str(status).encode():
            first = head.partition(b"\r\n")[0].removeprefix(b"http/1.1 ").decode()
            raise BenchmarkError(f"{first}: {bytes(received[:500]).decode(errors='replace')}")
        return bytes(received)

    def close(self) -> None:
        """Closes the connection; who waits for an answer gets an error."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive(self, received: bytearray) -> None:
        part = self._socket.recv(_CHUNK_BYTES)
        if not part:
            raise BenchmarkError("The server closed a connection.")
        received += part


def _join_chunks(received: bytearray) -> bytearray:
    joined = bytearray()
    begin = 0
    while size := int(received[begin : (end := received.index(b"\r\n", begin))], 16):
        joined += received[end + 2 : end + 2 + size]
        begin = end + 2 + size + 2
    return joined


@dataclass
class _Crowd:
    """What the callers share; see `put_caller_load`."""

    stopped: bool = False
    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def put_caller_load(
    port: int,
    request: bytes,
    *,
    callers: int,
    warm_up: float,
    seconds: float,
    roots: Sequence[int],
    check: Callable[[bytes], bool] = bool,
) -> CallerLoad:
    """Lets callers send a request for some seconds.

    Args:
        port: Where the server listens on loopback.
        request: The whole request.
        callers: How many, each with a connection of its own.
        warm_up: Seconds before those that count, after the first answer.
        seconds: Seconds that count; more where a slow server has answered few requests by then.
        roots: The server's processes, with those below them.
        check: Whether the body of an answer is right; asked for the first answer of all.

    Raises:
        BenchmarkError: A request was refused, or an answer is wrong.
    """
    _check_first(port, request, check)
    crowd = _Crowd()
    connections = [Connection(port) for _ in range(callers)]
    threads = [
        threading.Thread(target=_call, args=(connection, request, crowd), daemon=True)
        for connection in connections
    ]
    gc.collect()
    gc.disable()
    try:
        for thread in threads:
            thread.start()
        _let_pass(warm_up, crowd)
        crowd.milliseconds.clear()
        began, worked, spent = time.perf_counter(), time.process_time(), measure_seconds(roots)
        _let_pass(seconds, crowd, fewest=2 * callers)
        times, took = sorted(crowd.milliseconds), time.perf_counter() - began
        worked, spent = time.process_time() - worked, measure_seconds(roots) - spent
    finally:
        gc.enable()
        crowd.stopped = True
        for connection in connections:
            connection.close()
        for thread in threads:
            thread.join(5)
    if len(times) < 2:
        raise BenchmarkError(f"{len(times)} requests were answered in {took:.1f} s.")
    parts = quantiles(times, n=100, method="inclusive")
    cost = 1e3 * spent / len(times)
    return CallerLoad(len(times) / took, parts[49], parts[98], cost, measure_peak_bytes(roots), worked / took)


def _check_first(port: int, request: bytes, check: Callable[[bytes], bool]) -> None:
    connection = Connection(port)
    try:
        body = connection.ask(request)
    finally:
        connection.close()
    if not check(body):
        raise BenchmarkError(f"The answer is wrong: {body[:200]!r}")


def _call(connection: Connection, request: bytes, crowd: _Crowd) -> None:
    while not crowd.stopped:
        began = time.perf_counter()
        try:
            connection.ask(request)
        except (BenchmarkError, OSError, ValueError) as error:
            if not crowd.stopped:
                crowd.errors.append(f"{type(error).__name__}: {error}")
            return
        crowd.milliseconds.append((time.perf_counter() - began) * 1e3)


def _let_pass(seconds: float, crowd: _Crowd, fewest: int = 0) -> None:
    began = time.perf_counter()
    while not crowd.errors:
        passed = time.perf_counter() - began
        if passed > seconds and (len(crowd.milliseconds) >= fewest or passed > _MOST_PATIENCE * seconds):
            return
        time.sleep(0.02)
    raise BenchmarkError(f"A caller cannot go on. {crowd.errors[0]}")
