"""expected times: how far off it is when jobs say they will start and end, asked at half of their wait.

Real workers on four loads. Steady: behind a few that wait, jobs come at random, as many as the workers can
run. Burst: many come at once. Mixed workers: three of different speed, and two models, one of which only two
of them serve. Mixed costs: two models that the same workers serve, one ten times as slow as the other, with
jobs of many sizes, which are computed, so that other work on the machine disturbs it. All jobs that wait are
read all the time, as the proxy reads them. The error of a job is that of the reading which came nearest to
half its wait, as a share of the time that was left until the moment in question.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import redis

from benchmarks.expectations import Arrivals, ExpectationErrors, observe
from benchmarks.figures import Figure, figure_of
from benchmarks.processes import ROOT, program, python, redis_server, wait_until
from benchmarks.repeated_model import WIDTH, write_repeated_model
from benchmarks.rounds import interleave
from inferq.queue.producer.submission import Submission

_SIMULATED_SECONDS = 0.1
_STANDING = 20
"""So many jobs wait from the beginning of the steady load."""
_SPEEDS = {0.05: ("a", "b"), 0.1: ("b",), 0.3: ("a", "b")}
"""Simulated seconds of each of the mixed workers, and its models."""
_REPETITIONS = {"light": 40, "heavy": 400}
_LATER_SECONDS = 0.05
_MOST_MEDIAN = 20.0
_ROW = b"[[5.1,3.5,1.4,0.2]]"


def measure(quick: bool) -> list[Figure]:
    """Takes the measure."""
    loads: dict[str, Callable[[bool], ExpectationErrors]] = {
        "steady": _take_steady,
        "burst": _take_burst,
        "mixed workers": _take_mixed_workers,
        "mixed costs": _take_mixed_costs,
    }
    results = interleave("expected times", list(loads), quick, lambda name: loads[name](quick))
    figures = []
    for name, taken in results.items():
        starts = [median(errors.starts) for errors in taken]
        figures.append(
            figure_of(
                *("expected start, median error", name, starts, "%"),
                target=f"≤ {_MOST_MEDIAN:g} %",
                met=median(starts) <= _MOST_MEDIAN,
            )
        )
    for name, taken in results.items():
        ends = [median(errors.ends) for errors in taken]
        figures.append(figure_of("expected end, median error", name, ends, "%"))
    return figures


def _take_steady(quick: bool) -> ExpectationErrors:
    """Behind a few jobs others come at random, as many as the workers can run."""
    count, chance = (60 if quick else 400), random.Random(20)

    def arrivals() -> Arrivals:
        moment = 0.0
        for number in range(count):
            yield moment, Submission("iris", _ROW)
            moment += 0.0 if number < _STANDING else chance.expovariate(2 / _SIMULATED_SECONDS)

    return _run_simulated(arrivals())


def _take_burst(quick: bool) -> ExpectationErrors:
    """Many jobs come at once."""
    count = 80 if quick else 400
    return _run_simulated((0.0, Submission("iris", _ROW)) for _ in range(count))


def _run_simulated(arrivals: Arrivals) -> ExpectationErrors:
    with _service([{"INFERQ_SIMULATED_RUN_SECONDS": str(_SIMULATED_SECONDS)}] * 2) as url:
        return asyncio.run(observe(url, arrivals, [Submission("iris", _ROW)] * 20))


def _take_mixed_workers(quick: bool) -> ExpectationErrors:
    """Workers of different speed share two models; half of the jobs come later."""
    count, chance = (120 if quick else 500), random.Random(20)
    jobs = [Submission(chance.choice("ab"), _ROW) for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        settings = []
        for seconds, models in _SPEEDS.items():
            own = Path(folder) / str(seconds)
            for name in models:
                shutil.copytree(ROOT / "models" / "iris", own / name)
            settings.append({"INFERQ_MODELS_DIR": str(own), "INFERQ_SIMULATED_RUN_SECONDS": str(seconds)})
        with _service(settings) as url:
            warm_up = [Submission(name, _ROW) for name in "ab" for _ in range(20)]
            return asyncio.run(observe(url, _bring_half_later(jobs), warm_up))


def _take_mixed_costs(quick: bool) -> ExpectationErrors:
    """Two models, one ten times as slow as the other, with jobs of many sizes."""
    count, chance = (100 if quick else 300), random.Random(20)
    jobs = [_make_job(chance.choice(list(_REPETITIONS)), chance.randint(1, 8)) for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        for name, repetitions in _REPETITIONS.items():
            write_repeated_model(Path(folder) / name, repetitions)
        with _service([{"INFERQ_MODELS_DIR": folder, "INFERQ_MODEL_THREADS": "1"}] * 2) as url:
            warm_up = [_make_job(name, rows) for name in _REPETITIONS for rows in [*range(1, 9)] * 2]
            return asyncio.run(observe(url, _bring_half_later(jobs), warm_up))


def _make_job(model: str, rows: int) -> Submission:
    return Submission(model, str(np.full((rows, WIDTH), 0.1).tolist()).encode())


def _bring_half_later(jobs: Sequence[Submission]) -> Arrivals:
    for number, job in enumerate(jobs):
        yield max(0.0, number - len(jobs) / 2) * _LATER_SECONDS, job


@contextmanager
def _service(settings: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A server with a worker for each of some settings; yields its URL."""
    with redis_server() as url, redis.Redis.from_url(url) as client, ExitStack() as stack:
        for number, one in enumerate(settings):
            command = python("-m", "inferq", "worker")
            stack.enter_context(program(command, f"worker {number + 1}", url=url, settings=one))
        wait_until(lambda: client.zcard("workers") == len(settings), "all workers report")
        yield url
