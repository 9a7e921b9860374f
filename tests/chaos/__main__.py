"""Breaks everything for a long time and shows that no accepted job is lost and none has two outcomes.

Run: uv run python -m tests.chaos [--minutes 20] [--jobs 100000] [--seed N] [--server valkey|redis] [--bucket]
         [--shards N] [--cluster]

It prints the faults drawn from the seed, progress every 10 s, and a closing table. If a promise was broken it
exits with 1, and logs, journal and the server's file are kept for a look.
"""

import argparse
import asyncio
import secrets
import sys

from tests.chaos.harness import Harness, Plan


def parse_arguments() -> Plan:
    """The plan that the command line asks for."""
    parser = argparse.ArgumentParser(description="Breaks everything for a long time.")
    parser.add_argument("--minutes", type=float, default=20.0, help="how long faults and load last")
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs to be accepted at least")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeats a run")
    parser.add_argument("--server", choices=["valkey", "redis"], default="valkey")
    parser.add_argument("--durability", choices=["server", "fsync"], default="server")
    parser.add_argument("--bucket", action="store_true", help="blobs in an object store, which is broken too")
    parser.add_argument("--shards", type=int, default=1, help="each on a server, or on the cluster")
    parser.add_argument("--cluster", action="store_true", help="a Redis Cluster, whose nodes are killed")
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    return Plan(
        seed=chosen.seed,
        seconds=seconds,
        jobs=chosen.jobs,
        per_second=1.1 * chosen.jobs / seconds,
        workers=5,
        server=chosen.server,
        durability=chosen.durability,
        fault_pause=4.0,
        death=0.0005,
        gap_death=0.0015,
        lost_reply=0.0005,
        killers=max(1, round(chosen.minutes / 2)),
        drain_seconds=300.0,
        model_seconds=0.004,
        has_object_store=chosen.bucket,
        shards=chosen.shards,
        is_cluster=chosen.cluster,
    )


def main() -> None:
    """Runs the plan and prints what came of it."""
    report = asyncio.run(Harness(parse_arguments()).run())
    print(report)
    if report.violations:
        sys.exit(f"chaos: {len(report.violations)} promises were broken, seed {report.plan.seed}")
    print(f"chaos: every promise was kept, seed {report.plan.seed}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
