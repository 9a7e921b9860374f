"""The short runs: what they have in common. With CHAOS_SEED=7 a run is the same again."""

import os

from tests.chaos.harness import Harness, OutboxEntry, Plan

SEED = int(os.environ.get("CHAOS_SEED", "1"))


async def run_briefly(**changes: object) -> OutboxEntry:
    """Runs a short plan, and makes sure that it kept all promises.

    Args:
        **changes: What is otherwise than usual in it, by the fields of `Plan`.
    """
    usual: dict[str, object] = {
        "seconds": 12.0,
        "appendfsync": "always",
        "jobs": 80,  # on a slow machine it takes longer until so many were accepted
        "per_second": 20.0,
        "fault_pause": 0.9,
        "death": 0.015,
        "haste": 5.0,
        "max_attempts": 4,
        "model_seconds": 0.005,
    }
    report = await Harness(Plan(SEED, **usual | changes), progress_seconds=2.0).run()  # type: ignore[arg-type]
    print(report)
    assert report.violations == []
    return report
