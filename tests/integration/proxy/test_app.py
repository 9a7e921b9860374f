"""What holds for the whole application."""

from inferq.proxy.app import create_app
from tests.integration.proxy.answers import expect_problem


async def test_wrong_path_and_method_are_problems_too(client):
    expect_problem(await client.get("/nosuch"), 404, "not-found")
    answer = await client.get("/predict")
    expect_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert answer.json()["detail"] == "/predict does not take GET; it takes POST."
    assert (await client.put("/job/x")).headers["allow"] == "DELETE, GET, HEAD"


async def test_unforeseen_error_shows_nothing_of_the_inside(client, app, monkeypatch):
    async def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(app.state.services.producer, "check_takes_jobs", broken)
    answer = await client.get("/health/ready")
    expect_problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_app_needs_no_redis_to_be_made(settings):
    create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}))
