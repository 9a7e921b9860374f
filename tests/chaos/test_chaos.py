"""The short run; `python -m tests.chaos` is the long one. With CHAOS_SEED=7 it is the same again."""

import pytest

from tests.chaos.short_run import run_briefly

pytestmark = pytest.mark.timeout(300)


async def test_no_accepted_job_is_lost_and_none_has_two_outcomes_whatever_dies():
    report = await run_briefly(gap_death=0.25)
    assert report.counts["jobs accepted"] > 50
    assert report.counts["worker deaths from within"] > 0
    assert report.counts["server restarts"] > 0
