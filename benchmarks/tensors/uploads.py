"""uploads: 16 uploads of 16 MB at once, and how long others wait for a small job meanwhile."""

import threading
import time
from pathlib import Path
from statistics import quantiles

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BODY, BenchmarkError
from benchmarks.rounds import rounds, tell
from benchmarks.tensors.callers import Connection
from benchmarks.tensors.model_servers import FOLDER, IN_REDIS, start_inferq
from benchmarks.tensors.payloads import make_pictures, write_binary, write_request
from benchmarks.tensors.pictures import wait_for_answer
from benchmarks.tensors.tensor_models import PICTURE, TRIVIAL

OTHERS = "others' p99 beside 16 uploads"
_UPLOADS = 16
_PICTURES = 27
"""16.3 MB."""
_PAUSE_SECONDS = 0.002
_FEWEST, _QUICK_FEWEST = 400, 100
_MOST_BURSTS = 10


def measure(models: Path, quick: bool) -> list[Figure]:
    """Takes the times of a small request, again and again while the uploads last."""
    figures = []
    for name, has_store in ((FOLDER, True), (IN_REDIS, False)):
        found = []
        with start_inferq(models, has_store=has_store) as running:
            wait_for_answer(running, write_binary(TRIVIAL, make_pictures(1, *PICTURE)))
            for _ in range(rounds(quick)):
                times: list[float] = []
                for _ in range(_MOST_BURSTS):
                    times += _time_others(running.port)
                    if len(times) >= (_QUICK_FEWEST if quick else _FEWEST):
                        break
                found.append(quantiles(times, n=100, method="inclusive")[98])
                tell(f"uploads: {name}, {len(times)} small requests meanwhile, p99 {found[-1]:.1f} ms")
        figures.append(figure_of(OTHERS, name, found, "ms"))
    return figures


def _time_others(port: int) -> list[float]:
    """Milliseconds of each small request that began before the last of 16 uploads was answered."""
    upload = write_binary(TRIVIAL, make_pictures(_PICTURES, *PICTURE))
    small = write_request("/predict?model=iris", [BODY], {"Content-Type": "application/json"})
    errors: list[str] = []
    threads = [threading.Thread(target=_upload, args=(port, upload, errors)) for _ in range(_UPLOADS)]
    others = Connection(port)
    times: list[float] = []
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            began = time.perf_counter()
            others.ask(small, 202)
            times.append(1e3 * (time.perf_counter() - began))
            time.sleep(_PAUSE_SECONDS)
    finally:
        others.close()
        for thread in threads:
            thread.join()
    if errors:
        raise BenchmarkError(f"{len(errors)} of {_UPLOADS} uploads failed: {errors[0]}")
    return times


def _upload(port: int, request: bytes, errors: list[str]) -> None:
    connection = Connection(port)
    try:
        connection.ask(request)
    except (BenchmarkError, OSError) as error:
        errors.append(f"{type(error).__name__}: {error}")
    finally:
        connection.close()
