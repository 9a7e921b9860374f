"""The short run; `python -m tests.chaos` is the long one. With CHAOS_SEED=7 it is the same again."""

import os

from tests.chaos.harness import Harness, Plan

SEED = int(os.environ.get("CHAOS_SEED", "1"))


async def test_no_accepted_job_is_lost_and_none_has_two_outcomes_whatever_dies():
    plan = Plan(
        SEED,
        seconds=12.0,
        per_second=20.0,
        fault_pause=0.9,
        death=0.015,
        gap_death=0.25,
        haste=5.0,
        max_attempts=4,
        model_seconds=0.005,
    )
    report = await Harness(plan, progress_seconds=2.0).run()
    print(report)
    assert report.violations == []
    assert report.counts["jobs accepted"] > 50
    assert report.counts["worker deaths from within"] > 0
    assert report.counts["server restarts"] > 0
