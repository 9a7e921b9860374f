"""What a picture costs as JSON and as it is, and what long bodies cost the proxy and its other clients.

Run: uv run python -m benchmarks.payloads [SECONDS]

Printed are: pictures of 3 × 224 × 224 numbers from request to result, 16 clients, as JSON and as `.npy`, with
the processor time of proxy, pool and workers for each; the proxy's peak memory while it takes a body of
60 MB, beside that before; and the latency of a small request while 16 bodies of 16 MB are sent at once, the
median of five such rounds.
"""

import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import numpy as np
import orjson

from benchmarks.idle import processor_seconds
from benchmarks.measures.big_rows import write_pooling
from benchmarks.processes import ROOT, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import tell

_CLIENTS = 16
_IMAGE = (1, 3, 224, 224)
_LARGE_ROWS, _UPLOAD_ROWS = 100, 26  # 60 MB, 16 MB
_UPLOADS = 16
_ROUNDS = 5
_PAUSE_SECONDS = 0.005
_SETTINGS = {"INFERQ_MAX_BODY_BYTES": "100000000", "INFERQ_MAX_INFLIGHT_BYTES": "400000000"}


class Service(NamedTuple):
    """A proxy and two workers.

    Attributes:
        port: Where the proxy listens.
        proxy: Its process.
        workers: Theirs.
    """

    port: int
    proxy: int
    workers: list[int]


class Body(NamedTuple):
    """A request for a prediction.

    Attributes:
        name: What it is, for the output.
        media_type: Its Content-Type.
        content: Its bytes.
    """

    name: str
    media_type: str
    content: bytes


@contextmanager
def serve() -> Iterator[Service]:
    """Runs a service with the model `pooling` of `big_rows`, and iris."""
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder, ExitStack() as stack:
        (Path(folder) / "iris").symlink_to(ROOT / "models" / "iris")
        write_pooling(Path(folder) / "pooling")
        settings = {**_SETTINGS, "INFERQ_MODELS_DIR": folder, "INFERQ_MODEL_THREADS": "1"}
        url = stack.enter_context(redis_server())
        port = free_port()

        def start(*words: str) -> int:
            command = python("-m", "inferq", *words)
            return stack.enter_context(program(command, words[0], url=url, settings=settings)).pid

        proxy = start("proxy", "--port", str(port))
        workers = [start("worker") for _ in range(2)]
        wait_until(lambda: _is_healthy(port), "the service is healthy")
        yield Service(port, proxy, workers)


def _is_healthy(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "healthy")
    except (httpx.TransportError, ValueError):
        return False


def make_bodies(rows: int, media_types: tuple[str, ...]) -> Iterator[Body]:
    """Makes bodies of so many pictures in each form."""
    values = np.random.default_rng(7).random((rows, *_IMAGE[1:]), np.float32)
    if "application/json" in media_types:
        text = orjson.dumps({"data": values, "model": "pooling"}, option=orjson.OPT_SERIALIZE_NUMPY)
        yield Body("JSON", "application/json", text)
    file = BytesIO()
    np.save(file, values)
    if "application/x-npy" in media_types:
        yield Body(".npy", "application/x-npy", file.getvalue())


def post(port: int, body: Body, prefer: str = "wait=60") -> Callable[[], int]:
    """Opens a connection, and returns what sends a request on it and returns the status."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    query = "" if body.media_type == "application/json" else "?model=pooling"
    head = (
        f"POST /predict{query} HTTP/1.1\r\nHost: x\r\nContent-Type: {body.media_type}\r\nPrefer: {prefer}\r\n"
        f"Content-Length: {len(body.content)}\r\n\r\n"
    ).encode()

    def send() -> int:
        connection.sendall(head)
        connection.sendall(body.content)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        status, _, headers = answer.partition(b"\r\n")
        length = int(headers.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        received = len(headers.partition(b"\r\n\r\n")[2])
        while received < length:
            received += len(connection.recv(65536))
        return int(status.split()[1])

    return send


def measure_pictures(service: Service, body: Body, seconds: float) -> None:
    """Prints how many pictures get through, and what each costs."""
    times: list[float] = []
    deadline = time.monotonic() + 1 + seconds
    count_from = time.monotonic() + 1

    def work() -> None:
        send = post(service.port, body)
        while time.monotonic() < deadline:
            began_at = time.monotonic()
            status = send()
            if status != httpx.codes.OK:
                sys.exit(f"{body.name}: the proxy answered {status}")
            if began_at >= count_from:
                times.append(time.monotonic() - began_at)

    threads = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    before = _read_processor_times(service)
    for thread in threads:
        thread.join()
    spent = [after - earlier for after, earlier in zip(_read_processor_times(service), before, strict=True)]
    proxy, pool, workers = (1000 * one / len(times) for one in spent)
    rate, middle = len(times) / seconds, 1000 * median(times)
    print(
        f"{body.name:6} {len(body.content) / 1e6:5.2f} MB  {rate:7.1f}/s  median {middle:6.1f} ms  "
        f"processor: proxy {proxy:.2f} ms, pool {pool:.2f}, workers {workers:.2f}",
        flush=True,
    )


def _read_processor_times(service: Service) -> tuple[float, float, float]:
    pool = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == service.proxy:
                pool += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    workers = sum(processor_seconds(pid) for pid in service.workers)
    return processor_seconds(service.proxy), pool, workers


def measure_memory(service: Service, body: Body) -> None:
    """Prints the proxy's peak memory while it takes one long body."""
    before = _read_memory(service.proxy, "VmRSS")
    Path(f"/proc/{service.proxy}/clear_refs").write_text("5")  # forgets the peak so far
    began_at = time.monotonic()
    status = post(service.port, body)()
    peak = _read_memory(service.proxy, "VmHWM") - before
    size, seconds = len(body.content) / 1e6, time.monotonic() - began_at
    print(
        f"{body.name:6} {size:5.1f} MB  status {status}  {seconds:.2f} s  the proxy's memory grows by "
        f"{peak:.0f} MB, {peak / size:.2f} × the body",
        flush=True,
    )


def _read_memory(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def measure_latency(service: Service, body: Body, path: str) -> None:
    """Prints how long small requests take while long bodies are sent at once, and while none are."""
    quiet = _measure_round(service, body, path, 0)
    rounds = [_measure_round(service, body, path, _UPLOADS) for _ in range(_ROUNDS)]
    p99, worst, seconds = (median(one[index] for one in rounds) for index in range(3))
    print(
        f"{_UPLOADS} × {len(body.content) / 1e6:.1f} MB {body.name} in {seconds:.2f} s: {path}: p99 "
        f"{1000 * p99:.1f} ms, longest {1000 * worst:.1f} ms (alone {1000 * quiet[0]:.1f} and "
        f"{1000 * quiet[1]:.1f} ms)",
        flush=True,
    )


def _measure_round(service: Service, body: Body, path: str, uploads: int) -> tuple[float, float, float]:
    threads = [
        threading.Thread(target=post(service.port, body, prefer="respond-async")) for _ in range(uploads)
    ]
    times = []
    began_at = time.monotonic()
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client:
        client.get(path)
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or time.monotonic() < began_at + 1:
            asked_at = time.monotonic()
            client.get(path)
            times.append(time.monotonic() - asked_at)
            time.sleep(_PAUSE_SECONDS)
    seconds = time.monotonic() - began_at
    wait_until(lambda: _is_idle(service.port), "the queue is empty", seconds=120)
    times.sort()
    return times[int(0.99 * len(times))], times[-1], seconds


def _is_idle(port: int) -> bool:
    models = httpx.get(f"http://127.0.0.1:{port}/queue").json()["models"].values()
    return all(not one["running"] and not any(one["waiting"].values()) for one in models)


def main(seconds: float = 5.0, *media_types: str) -> None:
    """Takes all measures, each with a service of its own."""
    types = media_types or ("application/json", "application/x-npy")
    for body in make_bodies(1, types):
        tell(f"pictures as {body.name}")
        with serve() as service:
            measure_pictures(service, body, seconds)
    for body in make_bodies(_LARGE_ROWS, types[-1:]):
        tell("one long body")
        with serve() as service:
            measure_memory(service, body)
    for body in make_bodies(_UPLOAD_ROWS, types[-1:]):
        tell("long bodies beside short requests")
        with serve() as service:
            for path in ("/health/live", "/job/x"):  # the latter asks Redis
                measure_latency(service, body, path)


if __name__ == "__main__":
    main(float((sys.argv[1:] or ["5"])[0]), *sys.argv[2:])
