"""The endpoints under /health."""

from tests.integration.proxy.answers import beat


async def test_health_goes_from_never_over_healthy_to_degraded_since(client, announced, consumer):
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["components"] == {"redis": "ok", "worker": "no worker has ever reported"}

    beat(consumer, announced)
    answer = await client.get("/health")
    assert answer.json() == {"status": "healthy", "components": {"redis": "ok", "worker": "ok"}}

    consumer.retire()
    answer = await client.get("/health")
    assert answer.json()["status"] == "degraded"
    assert answer.json()["components"]["worker"].startswith("no live worker since 20")


async def test_health_for_orchestrators(client):
    assert (await client.get("/health/live")).json() == {"status": "alive"}
    assert (await client.get("/health/ready")).json() == {"status": "ready"}
