"""large tensors: 22 MB out and 60 MB in by one caller, as bytes and as JSON; what the proxy holds of it."""

import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, figure_of
from benchmarks.rounds import tell
from benchmarks.tensors.callers import Connection
from benchmarks.tensors.model_servers import FOLDER, IN_REDIS, JSON, RunningServer, start_inferq
from benchmarks.tensors.payloads import make_pictures, write_binary, write_json
from benchmarks.tensors.pictures import wait_for_answer
from benchmarks.tensors.process_tree import measure_peak_bytes
from benchmarks.tensors.tensor_models import LARGE, PICTURE, TRIVIAL

OUT, IN, HELD = "22 MB out", "60 MB in", "60 MB in, proxy's memory"
_PICTURES = 100
_SAMPLES, _QUICK_SAMPLES, _JSON_SAMPLES = 5, 3, 1


def measure(models: Path, quick: bool) -> list[Figure]:
    """Takes the times with bytes in the folder store, with bytes in Redis, and with JSON in Redis."""
    large, small = make_pictures(_PICTURES, *PICTURE), make_pictures(1, 21, 1, 1)
    first = write_binary(TRIVIAL, large[:1])
    figures = []
    for name, has_store in ((FOLDER, True), (IN_REDIS, False), (JSON, False)):
        write = write_json if name == JSON else write_binary
        count = _QUICK_SAMPLES if quick else _SAMPLES
        if name == JSON:
            count = _JSON_SAMPLES if quick else _QUICK_SAMPLES
        with start_inferq(models, has_store=has_store) as running:
            wait_for_answer(running, first)
            body = write(LARGE, small)
            times = {OUT: _time_requests(running, body, count)}
            before, body = measure_peak_bytes([running.proxy]), write(TRIVIAL, large)
            times[IN] = _time_requests(running, body, count)
            held = (measure_peak_bytes([running.proxy]) - before) / len(body)
        for measure_name, seconds in times.items():
            tell(f"{measure_name}: {name} {median(seconds):,.0f} ms")
            figures.append(figure_of(measure_name, name, seconds, "ms"))
        figures.append(figure_of(HELD, name, [held], "× the body"))
    return figures


def _time_requests(running: RunningServer, request: bytes, count: int) -> list[float]:
    """Milliseconds of each request, after one that does not count."""
    connection = Connection(running.port)
    times = []
    try:
        for _ in range(count + 1):
            began = time.perf_counter()
            connection.ask(request)
            times.append(1e3 * (time.perf_counter() - began))
    finally:
        connection.close()
    return times[1:]
