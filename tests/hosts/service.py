"""The service on hosts of its own, and what must hold whatever happens to the network between them."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Self

import httpx
import redis

from inferq.processes import PARENT_VARIABLE
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings
from tests.chaos.cases import Cases
from tests.chaos.cluster import ROOT
from tests.chaos.harness import MODELS
from tests.chaos.journal import Journal
from tests.chaos.load import Load
from tests.chaos.verdict import Verdict
from tests.chaos.watchers import EventWatcher, Poller
from tests.hosts.clock import HostClock
from tests.hosts.network import Host, Network
from tests.servers import REDIS_BINARY, wait_until

_MAX_ATTEMPTS = 5
_DRAIN_SECONDS = 90.0
_REDIS_PORT, _PROXY_PORT = 6379, 8000


class Service:
    """Redis, a proxy, two workers and clients, each on a host of its own.

    Args:
        network: What connects them.
        run_seconds: How long each job runs at least.

    Attributes:
        redis, proxy, client: Their hosts.
        workers: The workers' hosts.
        clocks: The clock of each host but the clients'.
        journal: What the clients know of their jobs.
        counts: What came of it, once `run` has returned.
    """

    def __init__(self, network: Network, *, run_seconds: float = 0.01) -> None:
        self._run_seconds = run_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="inferq-hosts-")
        self.folder = Path(self._folder.name)
        self.redis, self.proxy, self.client = map(network.add, ("redis", "proxy", "client"))
        self.workers = [network.add("worker0"), network.add("worker1")]
        self.redis_url = f"redis://{self.redis.address}:{_REDIS_PORT}/0"
        self.url = f"http://{self.proxy.address}:{_PROXY_PORT}"
        self.clocks = {
            host: HostClock(self.folder, host.name) for host in (self.redis, self.proxy, *self.workers)
        }
        self.programs: dict[Host, subprocess.Popen[bytes]] = {}
        self._cases = Cases(self.folder / "models", Random(1))
        self.journal = Journal(self.folder / "journal")
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self.start_redis()
            self.start_proxy()
            for host in self.workers:
                self.start_worker(host)
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start_redis(self) -> None:
        """Starts Redis, on the data that is there."""
        assert REDIS_BINARY is not None
        options = {
            "bind": self.redis.address,
            "port": _REDIS_PORT,
            "protected-mode": "no",
            "dir": self.folder,
            "save": "",
            "appendonly": "yes",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._start(self.redis, [REDIS_BINARY, *words])
        wait_until(lambda: self._ask_redis("PING"), what="Redis answering", pause=0.05)

    def start_proxy(self) -> None:
        """Starts the proxy."""
        where = ("--host", self.proxy.address, "--port", str(_PROXY_PORT))
        self._start(self.proxy, [sys.executable, "-m", "inferq", "proxy", *where])

    def start_worker(self, host: Host) -> None:
        """Starts a worker."""
        self._start(host, [sys.executable, "-m", "inferq", "worker"])

    def wait_until_ready(self) -> None:
        """Waits until the proxy takes jobs, and all workers have reported."""
        wait_until(self._is_ready, 90, "every program serving", pause=0.1)

    def forget_jobs(self) -> None:
        """Begins a new journal, as the jobs of the one before are not kept any more."""
        self.journal.close()
        self.journal = Journal(self.folder / "journal")

    def read_keys(self, pattern: str) -> list[bytes]:
        """Returns the keys in Redis that match a pattern."""
        found = self._ask_redis("KEYS", pattern)
        assert isinstance(found, list)
        return found

    def signal(self, host: Host, number: signal.Signals) -> None:
        """Sends a signal to a host's program."""
        self.programs[host].send_signal(number)

    def suspend_with_jobs(self, host: Host) -> None:
        """Stops and cuts off a worker's host while it holds jobs, as a virtual machine that is suspended.

        For a strike, which runs on the clients' host.
        """

        def suspend() -> bool:
            self.signal(host, signal.SIGSTOP)
            host.sends.is_cut = host.receives.is_cut = True
            if self._holds_jobs(host):
                return True
            self.resume(host)
            return False

        wait_until(suspend, 30, "a moment at which the worker holds a job", pause=0.05)

    def resume(self, host: Host) -> None:
        """Undoes `suspend_with_jobs`."""
        host.sends.is_cut = host.receives.is_cut = False
        self.signal(host, signal.SIGCONT)

    def _holds_jobs(self, host: Host) -> bool:
        # those that came last are first, and few run at a time
        answer = httpx.get(f"{self.url}/jobs", params={"status": "processing", "limit": 100}, timeout=10)
        mark = f"-{self.programs[host].pid}-"
        return any(mark in (job["history"][-1]["worker"] or "") for job in answer.json()["jobs"])

    def run(
        self, strike: Callable[[], None], *, per_second: float = 20.0, before_seconds: float = 1.0
    ) -> None:
        """Submits jobs at a steady pace while something happens, lets them end, and judges.

        Args:
            strike: What happens. It has to make everything whole again before it returns.
            per_second: Jobs submitted.
            before_seconds: How long jobs are submitted before that.
        """
        self.client.call(lambda: asyncio.run(self._run(strike, per_second, before_seconds)))

    async def _run(self, strike: Callable[[], None], per_second: float, before_seconds: float) -> None:
        journal, url = self.journal, self.redis_url
        shards = [Settings(redis_url=url)]
        poller, events = Poller(shards, journal), EventWatcher(shards, journal)
        load = Load(
            [self.url], shards, self._cases, journal, seed=1, per_second=per_second, killers=0, jobs=1
        )  # fmt: skip
        watching = [asyncio.create_task(poller.run()), asyncio.create_task(events.run())]
        try:
            submitting = asyncio.create_task(load.run())
            await asyncio.sleep(before_seconds)
            await asyncio.to_thread(strike)
            load.stopping.set()
            await submitting
            with redis.Redis.from_url(url, socket_timeout=10) as client:
                verdict = Verdict(client, journal, events, MODELS, _MAX_ATTEMPTS)
                deadline = time.monotonic() + _DRAIN_SECONDS
                while (journal.open or verdict.leftovers()) and time.monotonic() < deadline:
                    await asyncio.sleep(0.1)
                verdict.judge()
            producer = Producer.from_settings(Settings(redis_url=url))
            verdict.judge_metrics(await producer.read_metrics())
            await producer.close()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        self.counts = {**load.counts, **verdict.counts, "jobs": len(journal.entries)}

    def _start(self, host: Host, command: list[str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INFERQ_")}
        settings = {
            "INFERQ_REDIS_URL": self.redis_url,
            "INFERQ_MODELS_DIR": str(self.folder / "models"),
            "INFERQ_LEASE_SECONDS": "1.0",
            "INFERQ_HEARTBEAT_SECONDS": "0.5",
            "INFERQ_MAX_ATTEMPTS": str(_MAX_ATTEMPTS),
            "INFERQ_MODEL_THREADS": "1",
            "INFERQ_SIMULATED_RUN_SECONDS": str(self._run_seconds),
            "INFERQ_LOG_FORMAT": "json",
            PARENT_VARIABLE: str(os.getpid()),
        }
        with (self.folder / f"{host.name}.log").open("ab") as log:
            self.programs[host] = host.start(
                command,
                inherited | settings | self.clocks[host].environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def _is_ready(self) -> bool:
        return self.client.call(lambda: asyncio.run(self._is_serving()))

    async def _is_serving(self) -> bool:
        producer = Producer.from_settings(Settings(redis_url=self.redis_url))
        try:
            live = {worker.pid for worker in await producer.read_workers()}
        finally:
            await producer.close()
        async with httpx.AsyncClient(timeout=5) as client:
            try:
                answer = await client.get(f"{self.url}/health/ready")
            except httpx.TransportError:
                return False
        return answer.status_code == 200 and {self.programs[host].pid for host in self.workers} <= live

    def _ask_redis(self, *words: str) -> object:
        def ask() -> object:
            with redis.Redis.from_url(self.redis_url, socket_timeout=5) as client:
                return client.execute_command(*words)  # type: ignore[no-untyped-call]

        try:
            return self.client.call(ask)
        except (redis.ConnectionError, redis.TimeoutError):
            return None

    def end(self) -> None:
        """Ends all programs at once."""
        for program in self.programs.values():
            program.send_signal(signal.SIGCONT)
            program.kill()
            program.wait()
        self.journal.close()
        self._folder.cleanup()
