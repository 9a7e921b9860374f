"""shards: one shard on a server and on a Redis Cluster, and two on two servers: what each job costs Redis."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

import httpx
import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BODY, can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import interleave
from inferq.queue import open_producer
from inferq.queue.producer.submission import Submission
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings, load_settings

_JOBS, _QUICK_JOBS = 20_000, 3_000
_DATA = b"[[5.1,3.5,1.4,0.2]]"
_AT_ONCE = 16
_REQUESTS, _REQUESTS_AT_ONCE = 256, 32
_POLL_SECONDS = 0.004
_LONGEST_DRAIN_SECONDS = 120.0
_SLOTS = 16384


@dataclass(frozen=True)
class Costs:
    """What a round has measured, of all servers together where nothing else is said.

    Attributes:
        submit: Jobs that one producer submits in a second.
        drain: Jobs that one worker completes in a second.
        redis_core: Jobs from submit to end in a second of processor time of Redis.
        bytes_moved: Bytes from and to Redis for each job.
        waiting_bytes: Memory of Redis for each job that waits.
        worker_connections: Connections of one worker to each shard.
        proxy_connections: Connections of one proxy to each shard, after 32 requests at a time.
    """

    submit: float
    drain: float
    redis_core: float
    bytes_moved: float
    waiting_bytes: float
    worker_connections: float
    proxy_connections: float

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name):,.0f}" for field in fields(self))


_UNITS = {
    "submit": "jobs/s",
    "drain": "jobs/s",
    "redis_core": "jobs/s",
    "bytes_moved": "bytes",
    "waiting_bytes": "bytes",
    "worker_connections": "connections",
    "proxy_connections": "connections",
}


def measure(quick: bool) -> list[Figure]:
    """Takes the measure for each layout."""
    layouts: dict[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {
        "one server": lambda: _servers(1),
        "one shard on a cluster": _cluster,
        "two servers": lambda: _servers(2),
    }
    count = _QUICK_JOBS if quick else _JOBS
    taken = interleave("shards", list(layouts), quick, lambda name: _measure(layouts[name], count))
    return [
        figure_of(f"shards: {what.replace('_', ' ')}", layout, [getattr(one, what) for one in costs], unit)
        for what, unit in _UNITS.items()
        for layout, costs in taken.items()
    ]


@contextmanager
def _servers(count: int) -> Iterator[dict[str, str]]:
    """Yields the settings for so many servers, by the names of their variables."""
    with ExitStack() as stack:
        yield {"INFERQ_REDIS_URL": ",".join(stack.enter_context(redis_server()) for _ in range(count))}


@contextmanager
def _cluster() -> Iterator[dict[str, str]]:
    """The same for a cluster of one node: more of them would take the processors that are measured."""
    options = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    with redis_server(more_options=options) as url:
        with redis.Redis.from_url(url) as client:
            execute: Any = client.execute_command
            execute("CLUSTER", "ADDSLOTSRANGE", 0, _SLOTS - 1)
            wait_until(lambda: b"cluster_state:ok" in execute("CLUSTER", "INFO"), "the cluster is up")
        yield {"INFERQ_REDIS_URL": url.replace("redis://", "redis+cluster://").removesuffix("/0")}


class _Shards:
    """The servers of the shards, seen from outside.

    Args:
        settings: All settings.
        stack: Closes the connections.
    """

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._shards = []
        for shard in split_settings(settings):
            url = shard.redis_url.replace("redis+cluster://", "redis://")
            self._shards.append((stack.enter_context(redis.Redis.from_url(url)), shard.key_prefix))

    def sum_info(self, *names: str) -> float:
        """The sum of numbers in INFO, over all servers."""
        infos: list[dict[str, Any]] = [client.info() for client, _ in self._shards]
        return sum(float(info[name]) for info in infos for name in names)

    def count_ended(self) -> int:
        """How many jobs have completed."""
        return sum(
            int(client.hget(f"{prefix}queue:iris:counts", "completed") or 0)
            for client, prefix in self._shards
        )

    def count_connections(self) -> float:
        """Connections of others to each shard."""
        return self.sum_info("connected_clients") / len(self._shards) - 1


def _measure(open_layout: Callable[[], AbstractContextManager[dict[str, str]]], count: int) -> Costs:
    with open_layout() as variables, ExitStack() as stack:
        settings = load_settings(redis_url=variables["INFERQ_REDIS_URL"], max_queued=10 * count)
        shards = _Shards(settings, stack)
        memory = shards.sum_info("used_memory")
        cpu, moved = _read_use(shards)
        submit = count / asyncio.run(_submit(settings, count))
        waiting_bytes = (shards.sum_info("used_memory") - memory) / count
        with program(python("-m", "inferq", "worker"), "the worker", settings=variables) as worker:
            wait_until(shards.count_ended, "the first jobs end", pause=_POLL_SECONDS, alive=worker)
            began, already = time.perf_counter(), shards.count_ended()
            wait_until(
                lambda: shards.count_ended() >= count,
                "all jobs end",
                seconds=_LONGEST_DRAIN_SECONDS,
                pause=_POLL_SECONDS,
                alive=worker,
            )
            drain = (count - already) / (time.perf_counter() - began)
            cpu_after, moved_after = _read_use(shards)
            worker_connections = shards.count_connections()
        proxy_connections = _count_proxy_connections(variables, shards)
    return Costs(
        submit,
        drain,
        count / (cpu_after - cpu),
        (moved_after - moved) / count,
        waiting_bytes,
        worker_connections,
        proxy_connections,
    )


def _read_use(shards: _Shards) -> tuple[float, float]:
    """Seconds of processor time that Redis has taken, and bytes that it has received and sent."""
    cpu = shards.sum_info("used_cpu_user", "used_cpu_sys")
    return cpu, shards.sum_info("total_net_input_bytes", "total_net_output_bytes")


async def _submit(settings: Settings, count: int) -> float:
    """Submits jobs; returns how many seconds that took."""
    producer = open_producer(settings)
    try:
        await producer.submit(Submission("iris", _DATA))
        began = time.perf_counter()

        async def submit_on(number: int) -> None:
            for _ in range(number):
                await producer.submit(Submission("iris", _DATA))

        shares = [(count - 1 + part) // _AT_ONCE for part in range(_AT_ONCE)]
        await asyncio.gather(*map(submit_on, shares))
        return time.perf_counter() - began
    finally:
        await producer.close()


def _count_proxy_connections(variables: dict[str, str], shards: _Shards) -> float:
    port = free_port()
    with program(
        python("-m", "inferq", "proxy", "--port", str(port)), "the proxy", settings=variables
    ) as proxy:
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        asyncio.run(_request(f"http://127.0.0.1:{port}/predict"))
        return shards.count_connections()


async def _request(url: str) -> None:
    turn = asyncio.Semaphore(_REQUESTS_AT_ONCE)
    async with httpx.AsyncClient(timeout=30) as client:

        async def post() -> None:
            async with turn:
                (await client.post(url, content=BODY)).raise_for_status()

        await asyncio.gather(*(post() for _ in range(_REQUESTS)))
