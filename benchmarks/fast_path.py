"""What each layer of the proxy's fast path buys, in submit and closed loop. See docs/decisions/017.

Run: uv run python -m benchmarks.fast_path [ROUNDS]

Each round takes every layer once, in turn, for a few seconds. Printed are medians, and the median of each
round's ratio to the layer before, of the throughput and of the processor time that the proxy took for a
request or job. The latter is the one to judge by where other programs use the machine as well.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any, NamedTuple, cast

import redis

from benchmarks.idle import processor_seconds
from benchmarks.load import put_load
from benchmarks.measures.submit import post_requests
from benchmarks.processes import can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import tell
from benchmarks.subjects import INFERQ
from inferq.proxy import server
from inferq.proxy.app import create_app
from inferq.proxy.transport.fast_protocol import FastProtocol
from inferq.proxy.transport.limited_protocol import LimitedProtocol
from inferq.proxy.transport.limited_websocket import LimitedWebSocket
from inferq.proxy.transport.uvicorn_protocols import Protocols
from inferq.settings import load_settings

_SECONDS = 3
_USERS = 64
_PAUSE_SECONDS = 0.005


class CoalescingTransport:
    """A transport that writes the head of a response together with its body. It was a layer once."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the transport has it
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes, or keeps a head until its body or the event loop's next turn."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.endswith(b"\r\n\r\n"):
            self._head = data
            self._call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Closes the connection when all is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class CoalescingProtocol(FastProtocol):
    """The fast protocol on such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to serve a connection."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport)))


_LAYERS: dict[str, tuple[bool, type]] = {
    "FastAPI's routes": (False, LimitedProtocol),
    "+ fast routes": (True, LimitedProtocol),
    "+ fast protocol": (True, FastProtocol),
    "+ write coalescing": (True, CoalescingProtocol),
}


class Sample(NamedTuple):
    """What one layer did in one round.

    Attributes:
        rate: Requests or jobs per second.
        microseconds: Processor time of the proxy for each.
    """

    rate: float
    microseconds: float


def serve(layer: str, port: str) -> None:
    """Runs `inferq proxy` with the layers up to this one."""
    has_fast_path, protocol = _LAYERS[layer]
    server.create_app = partial(create_app, has_fast_path=has_fast_path)  # type: ignore[attr-defined]
    server.choose_protocols = lambda: Protocols(protocol, LimitedWebSocket)  # type: ignore[attr-defined]
    server.main("127.0.0.1", int(port), load_settings())


def take_submit(layer: str) -> Sample:
    """Measures POST /predict from 32 connections, without a worker."""
    return _take(layer, lambda port: post_requests(port, _SECONDS))


def take_closed_loop(layer: str) -> Sample:
    """Measures 64 users who post, poll every 5 ms until completed, and post again."""

    def load(port: int) -> float:
        return put_load(port, users=_USERS, pause=_PAUSE_SECONDS, seconds=_SECONDS).jobs_per_second

    return _take(layer, load, has_worker=True)


def _take(layer: str, load: Callable[[int], float], *, has_worker: bool = False) -> Sample:
    port = free_port()
    command = python("-m", "benchmarks.fast_path", "serve", layer, str(port))
    settings = {"INFERQ_MAX_QUEUED": "100000000"}
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        client = stack.enter_context(redis.Redis.from_url(url))
        if has_worker:
            stack.enter_context(program(INFERQ.worker, "the worker", url=url))
        proxy = stack.enter_context(program(command, "the proxy", url=url, settings=settings))
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        if not has_worker:
            post_requests(port, 1)
        seconds, jobs = processor_seconds(proxy.pid), client.hlen("jobs:records")
        rate = load(port)
        taken, count = processor_seconds(proxy.pid) - seconds, client.hlen("jobs:records") - jobs
        return Sample(rate, taken / count * 1e6)


def main(rounds: int) -> None:
    """Takes the rounds and prints what each layer buys."""
    for name, take in (("submit", take_submit), ("closed loop", take_closed_loop)):
        samples: dict[str, list[Sample]] = {layer: [] for layer in _LAYERS}
        for number in range(rounds):
            for layer in list(_LAYERS)[:: -1 if number % 2 else 1]:
                sample = take(layer)
                samples[layer].append(sample)
                tell(
                    f"{name}, round {number + 1}: {layer} {sample.rate:,.0f}/s, {sample.microseconds:.0f} µs"
                )
        _print(name, samples)


def _print(name: str, samples: dict[str, list[Sample]]) -> None:
    before: list[Sample] = []
    for layer, now in samples.items():
        row = [
            name,
            layer,
            f"{median(one.rate for one in now):,.0f}",
            f"{median(one.microseconds for one in now):.0f}",
            _show([new.rate / old.rate for new, old in zip(now, before, strict=False)]),
            _show([old.microseconds / new.microseconds for new, old in zip(now, before, strict=False)]),
        ]
        print(f"| {' | '.join(row)} |", flush=True)
        before = now


def _show(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 9)
