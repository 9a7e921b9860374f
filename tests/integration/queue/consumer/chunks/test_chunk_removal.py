"""What is left where chunks were removed: nothing, whatever their list still has."""

from inferq.queue.consumer.consumer import Consumer
from tests.integration.queue.consumer.claiming import claim_next

QUEUE = "iris@3~chunks"


async def test_removed_chunk_whose_id_is_in_the_list_once_more_is_passed_over(settings, redis_client):
    """As where a worker gave it back that could not read its data, while another ran it."""
    consumer = Consumer(settings, "worker-1", [QUEUE], {QUEUE: "3"})
    for claim in (claim_next, lambda consumer: consumer.claim(1)):
        redis_client.lpush(f"queue:{QUEUE}", "job-chunk7")
        assert claim(consumer) == []
    assert redis_client.keys("job:*") == []
    assert redis_client.hget("jobs:records", "job-chunk7") is None
    consumer.close()
