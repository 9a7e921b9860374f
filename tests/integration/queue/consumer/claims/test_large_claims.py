"""Claims of jobs with large data."""

import pytest

from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import claim_next

MB = 1_000_000


@pytest.mark.parametrize("claim", [claim_next, lambda consumer, limit: consumer.claim(limit)])
async def test_claim_takes_as_many_jobs_as_their_data_allows_and_leaves_the_others_in_order(
    consumer, producer, redis_client, claim
):
    datas = [b"%d" % number * (size * MB) for number, size in enumerate((5, 10, 20, 1, 1, 16))]
    ids = [await producer.submit(Submission("iris", data)) for data in datas]
    claims = [claim(consumer, 128) for _ in range(4)]
    assert [[job.id for job in jobs] for jobs in claims] == [ids[:2], ids[2:3], ids[3:5], ids[5:]]
    assert [job.data for jobs in claims for job in jobs] == datas
    assert not redis_client.exists("queue:iris")


async def test_jobs_from_outside_are_bounded_like_others(consumer, redis_client):
    for number in range(3):
        redis_client.set(f"job:{number}:data", b"x" * (10 * MB))
        redis_client.lpush("queue:iris", number)
    assert [[job.id for job in consumer.claim(128)] for _ in range(4)] == [["0"], ["1"], ["2"], []]
    assert redis_client.mget("job:0:status", "job:1:status") == [b"processing"] * 2
