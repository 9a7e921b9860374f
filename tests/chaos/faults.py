"""What is broken, and when: drawn from a seed, so that a run can be repeated."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """The ways in which something is broken from outside; `worker_entry` breaks workers from within."""

    KILL_WORKER = "kill -9 worker"
    KILL_PROXY = "kill -9 proxy"
    KILL_SERVER = "kill -9 server"
    KILL_SERVER_AND_WORKERS = "kill -9 server and workers"
    FREEZE_WORKER = "SIGSTOP worker"
    TERMINATE_WORKER = "SIGTERM worker"
    CUT_CONNECTIONS = "CLIENT KILL"
    PAUSE_SERVER = "CLIENT PAUSE"
    FLUSH_SCRIPTS = "SCRIPT FLUSH"
    FAIL_OVER = "CLUSTER FAILOVER"
    MOVE_SLOT = "slot moved"
    KILL_STORE = "kill -9 object store"
    FREEZE_STORE = "SIGSTOP object store"


STORE_KINDS = {FaultKind.KILL_STORE, FaultKind.FREEZE_STORE}
"""Of these there is none where blobs lie in a folder."""
CLUSTER_KINDS = {FaultKind.FAIL_OVER, FaultKind.MOVE_SLOT}
"""Of these there is none but on a Redis Cluster."""
WEIGHTS = {
    FaultKind.KILL_WORKER: 4,
    FaultKind.KILL_PROXY: 2,
    FaultKind.KILL_SERVER: 2,
    FaultKind.KILL_SERVER_AND_WORKERS: 1,
    FaultKind.FREEZE_WORKER: 3,
    FaultKind.TERMINATE_WORKER: 1,
    FaultKind.CUT_CONNECTIONS: 3,
    FaultKind.PAUSE_SERVER: 1,
    FaultKind.FLUSH_SCRIPTS: 2,
    FaultKind.FAIL_OVER: 2,
    FaultKind.MOVE_SLOT: 2,
    FaultKind.KILL_STORE: 2,
    FaultKind.FREEZE_STORE: 2,
}

SECONDS = {
    FaultKind.KILL_SERVER: (0.05, 1.5),
    FaultKind.KILL_SERVER_AND_WORKERS: (0.05, 1.5),
    FaultKind.FREEZE_WORKER: (1.2, 3.5),
    FaultKind.PAUSE_SERVER: (0.2, 2.0),
    FaultKind.MOVE_SLOT: (0.05, 0.5),
    FaultKind.KILL_STORE: (0.05, 1.0),
    FaultKind.FREEZE_STORE: (0.2, 2.0),
}
"""How long a fault lasts, where it does; a lease is 1 s."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to break.

    Attributes:
        at: Seconds after the start of the load.
        kind: What to do.
        target: Which worker or proxy, counted modulo how many there are.
        seconds: How long it lasts; 0 for what is over at once.
    """

    at: float
    kind: FaultKind
    target: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.kind} #{self.target}" + (
            f" {self.seconds:.2f} s" * (self.seconds > 0)
        )


def draw_schedule(
    seed: int, seconds: float, mean_pause: float, *, has_object_store: bool = False, is_cluster: bool = False
) -> list[Fault]:
    """Draws the faults of a run.

    Args:
        seed: The same seed gives the same faults.
        seconds: How long the run takes.
        mean_pause: Mean time between two faults. A run long enough for it begins with one of each kind, in
            random order.
        has_object_store: Whether there is one, so that it can be broken too.
        is_cluster: Whether the shards are on a Redis Cluster, so that they can be moved.

    Returns:
        The faults by time.
    """
    random = Random(seed)
    times = []
    at = random.expovariate(1 / mean_pause)
    while at < seconds:
        times.append(at)
        at += random.expovariate(1 / mean_pause)
    left_out = (set() if has_object_store else STORE_KINDS) | (set() if is_cluster else CLUSTER_KINDS)
    kinds = [kind for kind in FaultKind if kind not in left_out]
    weights = [WEIGHTS[kind] for kind in kinds]
    random.shuffle(first := kinds.copy())
    kinds = first + random.choices(kinds, weights, k=len(times))
    return [_draw(random, at, kind) for at, kind in zip(times, kinds, strict=False)]


def _draw(random: Random, at: float, kind: FaultKind) -> Fault:
    shortest, longest = SECONDS.get(kind, (0.0, 0.0))
    return Fault(round(at, 2), kind, random.randrange(8), round(random.uniform(shortest, longest), 2))
