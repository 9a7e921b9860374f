"""The short run on several shards: on a Redis Cluster whose nodes are killed and whose slots move, and on two
servers of which one is away."""

import pytest

from tests.chaos.short_run import run_briefly

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


async def test_jobs_on_a_cluster_are_lost_only_with_a_primary_that_had_not_sent_them_on():
    report = await run_briefly(death=0.01, shards=3, is_cluster=True)
    assert report.counts["jobs accepted"] > 50
    assert report.counts["server restarts"] > 0
    assert report.counts["  CLUSTER FAILOVER"] + report.counts["  slot moved"] > 0


async def test_one_of_two_servers_is_away_and_the_jobs_of_both_are_done():
    report = await run_briefly(death=0.01, shards=2)
    assert report.counts["jobs accepted"] > 50
    assert report.counts["server restarts"] > 0
