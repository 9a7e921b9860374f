"""The short run where blobs lie in a bucket, whose server is killed and stopped too."""

import pytest

from tests.chaos.short_run import run_briefly

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


async def test_nothing_that_is_named_is_missing_in_a_bucket_and_no_orphan_stays():
    report = await run_briefly(seconds=8.0, fault_pause=0.6, has_object_store=True, large_share=0.5)
    assert report.counts["  results in the blob store"] > 0
    assert report.counts["  kill -9 object store"] + report.counts["  SIGSTOP object store"] > 1
