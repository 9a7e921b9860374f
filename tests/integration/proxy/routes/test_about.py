"""GET /."""


async def test_root_links_to_what_there_is(client):
    body = (await client.get("/")).json()
    for name, path in body["links"].items():
        if "{" not in path and name not in (
            "predict",
            "predict_test",
            "predict_batch",
            "jobs_status",
            "metadata",
            "websocket",
            "activity",
            "stream_tickets",
            "jobs_actions",
        ):
            assert (await client.get(path)).status_code == 200, path
