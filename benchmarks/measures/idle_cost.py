"""idle cost: processor time and resident memory of a worker that has run a hundred jobs and now rests."""

import time
from contextlib import ExitStack

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.idle import processor_seconds, resident_megabytes
from benchmarks.processes import program, redis_server, wait_until
from benchmarks.rounds import rounds, tell
from benchmarks.subjects import INFERQ, SEED, Subject

_JOBS = 100
_SETTLE_SECONDS = 1.0
_SECONDS = 20.0
_QUICK_SECONDS = 5.0


def measure(quick: bool) -> list[Figure]:
    """Lets both workers rest at the same time, each with a server of its own."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    subjects = (INFERQ, SEED)
    used: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    memory: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    count = rounds(quick)
    for number in range(1, count + 1):
        with ExitStack() as stack:
            workers = {subject.name: _resting(subject, stack) for subject in subjects}
            time.sleep(_SETTLE_SECONDS)
            before = {name: processor_seconds(pid) for name, pid in workers.items()}
            time.sleep(seconds)
            for name, pid in workers.items():
                used[name].append(processor_seconds(pid) - before[name])
                memory[name].append(resident_megabytes(pid))
                cost = f"{used[name][-1]:.2f} s, {memory[name][-1]:.0f} MB"
                tell(f"idle cost, round {number} of {count}: {name} {cost}")
    name = f"idle cost in {seconds:g} s"
    return [
        *(figure_of(name, subject, values, "s") for subject, values in used.items()),
        *(figure_of("idle memory", subject, values, "MB") for subject, values in memory.items()),
    ]


def _resting(subject: Subject, stack: ExitStack) -> int:
    """Starts a worker and has it run some jobs; returns its process id."""
    url = stack.enter_context(redis_server())
    client = stack.enter_context(redis.Redis.from_url(url))
    jobs = subject.enqueue(url, _JOBS)
    worker = stack.enter_context(program(subject.worker, f"{subject.name}'s worker", url=url))
    wait_until(lambda: all(subject.completed(client, jobs)), f"{subject.name} runs its jobs", alive=worker)
    return worker.pid
