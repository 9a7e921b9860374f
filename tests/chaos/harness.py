"""One run of the chaos: load, faults, rest, verdict."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import redis
import redis.asyncio

from inferq.blobs import open_store
from inferq.errors import RedisUnavailableError
from inferq.queue.inspection.metrics import QueueMetrics
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.connection import connect
from inferq.settings import Settings
from tests.chaos.backends import Backend, ClusterBackend, SeveralServers
from tests.chaos.cases import BLOB_BYTES, Cases
from tests.chaos.cluster import Child, Cluster
from tests.chaos.faults import Fault, FaultKind, draw_schedule
from tests.chaos.journal import Entry, Journal, Origin
from tests.chaos.load import Load
from tests.chaos.verdict import Verdict
from tests.chaos.watchers import AWAY, EventWatcher, Poller

MODELS = ["doubles", "iris", "table"]
_PROBES = 12
BLOB_GRACE_SECONDS = 8.0
"""Longer than a process may take between writing a blob and naming it, also while it is frozen or cut off."""
_SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of.

    Attributes:
        seed: Decides faults and jobs.
        seconds: How long load and faults last.
        jobs: How many must be accepted, if that takes longer.
        per_second: Jobs submitted over HTTP.
        workers: Worker processes.
        proxies: Proxy processes.
        server: valkey or redis.
        durability: The setting.
        appendfsync: Of servers without a cluster. With everysec, one that is killed while its disk is busy
            may lose what it accepted.
        fault_pause: Mean seconds between two faults from outside.
        death: Probability that a worker dies at each point it passes; there are four in a job.
        gap_death: The same between BRPOP and claim, which a busy worker never passes.
        lost_reply: Probability that a worker loses an answer of the server.
        killers: Jobs that kill each worker that runs them.
        max_attempts: The setting. Higher than its default, since here even an innocent job may well meet
            several deaths in a row, and four would make it a dead letter with 3.
        haste: Divides the pauses before retries and rescues.
        drain_seconds: How long the rest may take.
        model_seconds: Shortest run of a model, so that faults meet runs under way.
        has_object_store: Whether blobs lie in a bucket instead of in a folder.
        shards: How many there are, each on a server of its own or on the cluster.
        is_cluster: Whether they are on a Redis Cluster of three primaries with a replica each.
        large_share: How many jobs of 1 have data and a result for the blob store.
    """

    seed: int
    seconds: float
    jobs: int = 0
    per_second: float = 60.0
    workers: int = 3
    proxies: int = 2
    server: str = "valkey"
    durability: str = "server"
    appendfsync: str = "everysec"
    fault_pause: float = 0.8
    death: float = 0.005
    gap_death: float = 0.1
    lost_reply: float = 0.003
    killers: int = 1
    max_attempts: int = 5
    haste: float = 1.0
    drain_seconds: float = 90.0
    model_seconds: float = 0.01
    has_object_store: bool = False
    large_share: float = 0.1
    shards: int = 1
    is_cluster: bool = False


def make_backend(plan: Plan) -> Backend:
    """The servers that a plan asks for."""
    if plan.is_cluster:
        return ClusterBackend(plan.server, plan.shards)
    return SeveralServers(plan.server, plan.shards, plan.appendfsync)


@dataclass
class OutboxEntry:
    """What came of a run.

    Attributes:
        plan: What was planned.
        faults: What was broken from outside.
        violations: Sentences; none if all promises were kept.
        counts: Everything that was counted, in the order of the table.
        seconds: How long it took, without start and verdict.
    """

    plan: Plan
    faults: list[Fault]
    violations: list[str] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        rows = [f"{name:<44}{value:>12,.10g}" for name, value in self.counts.items()]
        rows += [f"VIOLATION: {sentence}" for sentence in self.violations[:50]]
        if len(self.violations) > 50:
            rows.append(f"… and {len(self.violations) - 50} more violations")
        return "\n".join(rows)


class Harness:
    """Runs a plan.

    Args:
        plan: What to do.
        say: Takes lines of progress.
        progress_seconds: Pause between two of them.
    """

    def __init__(
        self, plan: Plan, say: Callable[[str], None] = print, progress_seconds: float = 10.0
    ) -> None:
        self.plan = plan
        self._say = say
        self._progress_seconds = progress_seconds
        self._faults = draw_schedule(
            *(plan.seed, plan.seconds, plan.fault_pause),
            has_object_store=plan.has_object_store,
            is_cluster=plan.is_cluster,
        )
        self._struck: Counter[str] = Counter()
        self._server_lock, self._store_lock = asyncio.Lock(), asyncio.Lock()
        settings = {
            "lease_seconds": 2.0,
            "heartbeat_seconds": 0.5,
            "max_attempts": plan.max_attempts,
            "model_threads": 1,
            "simulated_run_seconds": plan.model_seconds,
            "durability": plan.durability,
            "blob_bytes": BLOB_BYTES,
            "blob_grace_seconds": BLOB_GRACE_SECONDS,
        }
        chaos = {
            "death": plan.death,
            "gap_death": plan.gap_death,
            "lost_reply": plan.lost_reply,
            "haste": plan.haste,
        }
        self.cluster = Cluster(
            *(make_backend(plan), plan.seed, plan.workers, plan.proxies, settings, chaos),
            has_object_store=plan.has_object_store,
        )

    async def run(self) -> OutboxEntry:
        """Runs the plan and returns what came of it; nothing is left running."""
        self._say(f"seed {self.plan.seed}, {len(self._faults)} faults from outside:")
        for fault in self._faults:
            self._say(f"  {fault}")
        cases = Cases(self.cluster.models_dir, Random(self.plan.seed), self.plan.large_share)
        journal = Journal(self.cluster.folder / "journal")
        try:
            with self.cluster:
                report = await self._run(cases, journal)
                if report.violations:
                    self._say(f"kept for a look: {self.cluster.keep()}")
                return report
        finally:
            journal.close()

    async def _run(self, cases: Cases, journal: Journal) -> OutboxEntry:
        plan, shards = self.plan, self.cluster.shards
        self._journal = journal
        journal.unreplicated_seconds = self.cluster.backend.unreplicated_seconds
        poller, events = Poller(shards, journal), EventWatcher(shards, journal)
        background = [asyncio.create_task(self._keep_running()), asyncio.create_task(events.run())]
        try:
            await self._until(self._is_ready, 120.0, "readiness")
            load = Load(
                self.cluster.urls, shards, cases, journal,
                seed=plan.seed, per_second=plan.per_second, killers=plan.killers,
                jobs=max(plan.jobs, int(plan.seconds * plan.per_second)),
            )  # fmt: skip
            started = time.monotonic()
            background += [
                asyncio.create_task(poller.run()),
                asyncio.create_task(self._tell(load, started)),
            ]
            submitting = asyncio.create_task(load.run())
            await self._strike_all(started)
            while time.monotonic() < started + plan.seconds or len(journal.entries) < plan.jobs:
                await asyncio.sleep(0.05)
            load.stopping.set()
            await submitting
            self._say("the faults are over; the rest must drain")
            self.cluster.chaos |= {"death": 0, "gap_death": 0, "lost_reply": 0}
            await self.cluster.replace_workers()
            with ExitStack() as clients:
                verdicts = [
                    self._make_verdict(clients.enter_context(connect(shard)), number, shard, events)
                    for number, shard in enumerate(shards)
                ]
                await self._drain(verdicts)
                seconds = time.monotonic() - started
                await self._probe(cases)
                for verdict, shard in zip(verdicts, shards, strict=True):
                    verdict.judge()
                    await self._until_swept(verdict)
                    verdict.judge_metrics(await self._read_metrics(shard))
        finally:
            for task in background:
                task.cancel()
            gone = await asyncio.gather(*background, return_exceptions=True)
        for outcome in gone:
            if isinstance(outcome, Exception):
                raise outcome
        await asyncio.to_thread(self.cluster.stop, list(self.cluster.children()))
        self.cluster.check_exits()
        journal.violations += self.cluster.unexpected
        judged = sum((verdict.counts for verdict in verdicts), Counter[str]())
        return self._report(journal, judged, load, poller, seconds)

    def _make_verdict(
        self, client: redis.Redis, number: int, shard: Settings, events: EventWatcher
    ) -> Verdict:
        if self.cluster.object_server:  # its credentials are known only now
            os.environ.update(self.cluster.object_server.environment)
        store = open_store(shard.blob_store)
        return Verdict(
            *(client, self._journal, events, MODELS, self.plan.max_attempts, store),
            prefix=shard.key_prefix,
            shard=number,
        )

    async def _until_swept(self, verdict: Verdict) -> None:
        """Nothing lies in the blob store but what is named, once the grace time and a sweep are over."""

        async def is_swept() -> bool:
            return not await asyncio.to_thread(verdict.find_orphan_blobs)

        try:
            await self._until(is_swept, _SWEEP_SECONDS, "the blob store being swept", pause=0.2)
        except TimeoutError as error:
            self._journal.violate(f"{error}: {verdict.find_orphan_blobs()[:5]}")

    async def _read_metrics(self, shard: Settings) -> QueueMetrics:
        producer = Producer.from_settings(shard)
        try:
            return await producer.read_metrics()
        finally:
            await producer.close()

    async def _is_ready(self) -> bool:
        """Whether all workers and proxies serve."""
        for shard in self.cluster.shards:
            producer = Producer.from_settings(shard)
            try:
                live = {worker.pid for worker in await producer.read_workers()}
            except RedisUnavailableError:
                return False
            finally:
                await producer.close()
            if not {child.pid for child in self.cluster.workers} <= live:
                return False
        async with httpx.AsyncClient() as client:
            for url in self.cluster.urls:
                try:
                    answer = await client.get(f"{url}/health/ready")
                except httpx.TransportError:
                    return False
                if answer.status_code != 200:
                    return False
        return True

    async def _keep_running(self) -> None:
        while True:
            self.cluster.restart_dead()
            await asyncio.sleep(0.05)

    async def _tell(self, load: Load, started: float) -> None:
        while True:
            await asyncio.sleep(self._progress_seconds)
            deaths = sum(sum(child.exits.values()) for child in self.cluster.children())
            self._say(
                f"{time.monotonic() - started:7.0f} s  accepted {len(self._journal.entries):,}  "
                f"open {len(self._journal.open):,}  deaths {deaths}  "
                f"server restarts {len(self._journal.server_kills)}  503 {load.counts['answers 503']}  "
                f"violations {len(self._journal.violations)}"
            )

    async def _strike_all(self, started: float) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in self._faults:
                await asyncio.sleep(max(0.0, started + fault.at - time.monotonic()))
                group.create_task(self._strike(fault))

    async def _strike(self, fault: Fault) -> None:
        self._struck[fault.kind] += 1
        workers, proxies = self.cluster.workers, self.cluster.proxies
        worker = workers[fault.target % len(workers)]
        match fault.kind:
            case FaultKind.KILL_WORKER:
                worker.send(signal.SIGKILL)
            case FaultKind.KILL_PROXY:
                proxies[fault.target % len(proxies)].send(signal.SIGKILL)
            case FaultKind.TERMINATE_WORKER:
                worker.send(signal.SIGTERM)
            case FaultKind.FREEZE_WORKER:
                worker.send(signal.SIGSTOP)
                await asyncio.sleep(fault.seconds)
                worker.send(signal.SIGCONT)
            case FaultKind.KILL_SERVER:
                await self._restart_server(fault)
            case FaultKind.KILL_SERVER_AND_WORKERS:
                victims = workers[: 1 + fault.target % len(workers)]
                await self._restart_server(fault, victims)
            case FaultKind.FAIL_OVER | FaultKind.MOVE_SLOT:
                await self._move_shard(fault)
            case FaultKind.CUT_CONNECTIONS:
                await self._command("CLIENT", "KILL", "TYPE", "normal")
            case FaultKind.PAUSE_SERVER:
                await self._command("CLIENT", "PAUSE", int(fault.seconds * 1000), "ALL")
            case FaultKind.FLUSH_SCRIPTS:
                await self._command("SCRIPT", "FLUSH")
            case FaultKind.KILL_STORE | FaultKind.FREEZE_STORE:
                await self._break_store(fault)

    async def _break_store(self, fault: Fault) -> None:
        server = self.cluster.object_server
        assert server is not None
        async with self._store_lock:
            if fault.kind is FaultKind.KILL_STORE:
                server.kill()
                await asyncio.sleep(fault.seconds)
                await asyncio.to_thread(server.start)
            else:
                server.signal(signal.SIGSTOP)
                await asyncio.sleep(fault.seconds)
                server.signal(signal.SIGCONT)

    async def _restart_server(self, fault: Fault, victims: Sequence[Child] = ()) -> None:
        backend = self.cluster.backend
        async with self._server_lock:
            self._journal.server_kills.append(time.monotonic())
            await asyncio.to_thread(backend.kill, fault.target)
            for child in victims:
                child.send(signal.SIGKILL)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(backend.restart)

    async def _move_shard(self, fault: Fault) -> None:
        backend = self.cluster.backend
        assert isinstance(backend, ClusterBackend)
        async with self._server_lock:
            if fault.kind is FaultKind.FAIL_OVER:
                await asyncio.to_thread(backend.fail_over, fault.target)
            else:
                await asyncio.to_thread(backend.move_slot, fault.target, fault.seconds)

    async def _command(self, *words: str | int) -> None:
        for server in await asyncio.to_thread(self.cluster.backend.list_servers):
            client = redis.asyncio.Redis.from_url(server.url, socket_timeout=5.0)
            try:
                await client.execute_command(*words)  # type: ignore[no-untyped-call]
            except AWAY:
                self._struck["missed, since the server was away"] += 1
            finally:
                await client.aclose()

    async def _drain(self, verdicts: Sequence[Verdict]) -> None:
        def find_leftovers() -> list[str]:
            return [sentence for verdict in verdicts for sentence in verdict.leftovers()]

        async def is_drained() -> bool:
            return not self._journal.open and not await asyncio.to_thread(find_leftovers)

        try:
            await self._until(is_drained, self.plan.drain_seconds, "the queue being drained", pause=0.2)
        except TimeoutError as error:
            self._journal.violate(f"{error}; open: {sorted(self._journal.open)[:5]}")

    async def _probe(self, cases: Cases) -> None:
        """The service is whole again: every worker reports, and new jobs are done at once."""
        try:
            await self._until(self._is_ready, 60.0, "every worker and proxy serving after the run")
        except TimeoutError as error:
            self._journal.violate(str(error))
        random = Random(self.plan.seed)
        producers = [Producer.from_settings(shard) for shard in self.cluster.shards]
        try:
            for number in range(_PROBES):
                case, shard = cases.draw(random), number % len(producers)
                if case.expected is not None:
                    job_id = await producers[shard].submit(Submission(case.model, case.data))
                    self._journal.add(Entry(job_id, Origin.HTTP, case.expected, shard=shard))
            await self._until(self._is_quiet, 60.0, "probes being done after the run")
        except TimeoutError as error:
            self._journal.violate(str(error))
        finally:
            for producer in producers:
                await producer.close()

    async def _is_quiet(self) -> bool:
        return not self._journal.open

    async def _until(
        self, condition: Callable[[], Any], timeout: float, what: str, pause: float = 0.05
    ) -> None:
        deadline = time.monotonic() + timeout
        while not await condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come true within {timeout:g} s")
            await asyncio.sleep(pause)

    def _report(
        self, journal: Journal, ended: Counter[str], load: Load, poller: Poller, seconds: float
    ) -> OutboxEntry:
        logged = Counter[str]()
        for child in self.cluster.children():
            self._read_log(child.name, child.log, logged)
        noted = Counter(self._tally())
        inside = Counter({what: times for what, times in noted.items() if what.startswith("death")})
        accepted = sum(entry.is_accepted for entry in journal.entries.values())
        lost = ended.pop("lost", 0)
        lost_with_primary = ended.pop("lost with a primary", 0)
        counts: dict[str, float] = {
            "jobs accepted": accepted,
            **{f"  of them from {origin}": n for origin, n in _origins(journal).items()},
            **{f"  {end}": n for end, n in sorted(ended.items())},
            **dict(sorted(load.counts.items())),
            "worker deaths from within": sum(inside.values()),
            **{f"  {what.removeprefix('death ')}": n for what, n in sorted(inside.items())},
            "faults from outside": sum(self._struck.values()),
            **{f"  {what}": n for what, n in sorted(self._struck.items())},
            "exits of workers and proxies": sum(
                sum(child.exits.values()) for child in self.cluster.children()
            ),
            "server restarts": len(journal.server_kills),
            **{what: n for what, n in sorted(noted.items()) if not what.startswith("death")},
            **dict(sorted(logged.items())),
            "final states rolled back by server kills": journal.rolled_back,
            "ended jobs read again": poller.rechecks,
            "jobs lost": lost,
            "jobs lost with a primary": lost_with_primary,
            "violations": len(journal.violations),
            "seconds": round(seconds, 1),
            "jobs per second": round(accepted / seconds, 1),
        }
        return OutboxEntry(self.plan, self._faults, journal.violations, counts, seconds)

    def _tally(self) -> list[str]:
        tally = self.cluster.tally
        return tally.read_text().splitlines() if tally.exists() else []

    def _read_log(self, name: str, path: Path, logged: Counter[str]) -> None:
        """Counts what recovery did; anything that nobody expected to go wrong is a violation."""
        with path.open("rb") as lines:
            for line in lines:
                if not line.startswith(b"{"):
                    if line.strip():
                        self._journal.violate(f"{name} wrote {line.decode(errors='replace').strip()[:300]!r}")
                        return
                    continue
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue  # cut off by a kill
                match event.get("event"):
                    case "jobs_recovered":
                        for what in ("lapsed", "missing", "failed"):
                            logged[f"recovered: {what}"] += event[what]
                    case "orphans_requeued":
                        logged["recovered: orphans requeued"] += len(event["job_ids"])
                    case "periodic_run_failed" | "run_failed" | "worker_stalled" | "run_hung":
                        self._journal.violate(f"{name}: {line.decode(errors='replace')[:600]}")
                if "exception" in event and event.get("level") == "error":
                    self._journal.violate(f"{name}: {event['exception'][-600:]}")


def _origins(journal: Journal) -> Counter[str]:
    return Counter(str(entry.origin) for entry in journal.entries.values() if entry.is_accepted)
