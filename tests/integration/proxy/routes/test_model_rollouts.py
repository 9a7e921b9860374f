"""Rollouts, promotion and rollback, and reloads, as workers follow them."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

import inferq
from inferq.errors import ModelUnavailableError, RolloutStateError
from inferq.jobs import WorkerInfo
from inferq.rollout import Rollout
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.versions import FollowingWorker
from tests.model_documents import write_document


@pytest.fixture
def worker(settings, iris, redis_client):
    """Serves versions 1 to 3 of iris, 3 as the newest, until something else is said."""
    with FollowingWorker(settings, iris.document, redis_client) as worker:
        yield worker


async def read_rollout(client):
    return (await client.get("/models/iris/rollout")).json()


async def test_promoted_version_serves_and_the_one_before_is_kept_for_a_rollback(client, worker):
    before = await read_rollout(client)
    assert (before["serving"], before["rollout"], before["applied"]) == ("3", None, None)

    answer = await client.post("/models/iris/promote", json={"version": "1"})
    assert answer.status_code == 200, answer.text
    promoted = answer.json()
    assert (promoted["serving"], promoted["is_followed"], promoted["missing"]) == ("1", True, [])
    assert promoted["rollout"] == promoted["applied"] == Rollout(serve="1", previous="3").model_dump()
    assert (await client.get("/models/iris")).json()["version"] == "1"
    assert (await client.post("/models/iris/promote", json={"version": "1"})).json() == promoted

    back = (await client.post("/models/iris/rollback")).json()
    assert (back["serving"], back["rollout"]) == ("3", Rollout(serve="3").model_dump())
    detail = expect_problem(await client.post("/models/iris/rollback"), 409, "rollout-state")
    assert "No version of model 'iris' has served before" in detail


async def test_rollout_is_replaced_and_removed_as_a_whole(client, worker):
    asked = {"serve": "2", "shares": {"3": 0.25}, "shadow": {"1": 0.5}, "tolerance": 0.01}
    changed = (await client.put("/models/iris/rollout", json=asked)).json()
    assert changed["applied"] == {**asked, "previous": "3", "is_unloaded": False}
    found = (await client.get("/models/iris/versions")).json()
    assert found["serving"] == "2"
    assert [
        (one["version"], one["is_serving"], one["share"], one["shadow"]) for one in found["versions"]
    ] == [
        ("1", False, 0.0, 0.5),
        ("2", True, 0.75, 0.0),
        ("3", False, 0.25, 0.0),
    ]
    assert [one["workers"] for one in found["versions"]] == [1, 1, 1]

    promoted = (await client.post("/models/iris/promote", json={"version": "3"})).json()
    expected = Rollout(serve="3", shadow={"1": 0.5}, tolerance=0.01, previous="2")
    assert promoted["rollout"] == expected.model_dump()
    removed = (await client.delete("/models/iris/rollout")).json()
    assert (removed["rollout"], removed["applied"], removed["serving"]) == (None, None, "3")


async def test_promotion_keeps_what_model_toml_says_of_the_other_versions(client, worker, redis_client, iris):
    of_toml = Rollout(serve="2", shares={"1": 0.1}, tolerance=0.5)
    document = worker.documents["iris@2"].model_copy(update={"rollout": of_toml})
    redis_client.hset("models", "iris", document.to_json())
    promoted = (await client.post("/models/iris/promote", json={"version": "3"})).json()
    assert promoted["rollout"] == of_toml.model_copy(update={"serve": "3", "previous": "2"}).model_dump()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind", "says"),
    [
        ("POST", "promote", {"version": "9"}, 404, "unknown-model", "Known: 1, 2, 3."),
        ("PUT", "rollout", {"shadow": {"9": 0.1}}, 404, "unknown-model", "Known: 1, 2, 3."),
        ("PUT", "rollout", {"shares": {"1": 0.7, "2": 0.7}}, 422, "invalid-input", "at most 1"),
        ("PUT", "rollout", {"shadow": {"1": 0.7, "2": 0.7}}, 422, "invalid-input", "at most 1"),
        ("PUT", "rollout", {"shares": {"1": 1.5}}, 422, "invalid-input", "shares.1"),
        ("PUT", "rollout", {"previous": "1"}, 422, "invalid-input", "previous"),
        ("PUT", "rollout", {"serve": "a b"}, 422, "invalid-input", "serve"),
        ("POST", "promote", {}, 422, "invalid-input", "version"),
        ("POST", "promote", {"version": 3}, 422, "invalid-input", "version"),
        ("POST", "promote", b"[", 400, "invalid-json", ""),
        ("POST", "promote?wait=-1", {"version": "3"}, 422, "invalid-input", "wait must be"),
        ("POST", "rollback", b"", 409, "rollout-state", "served before"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    client, worker, redis_client, method, path, body, status, kind, says
):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = await client.request(method, f"/models/iris/{path}", **sent)
    assert says in expect_problem(answer, status, kind)
    assert redis_client.exists("models:rollouts", "models:generation") == 0


async def test_version_that_no_live_worker_serves_is_not_promoted(client, worker, redis_client):
    document = worker.documents["iris@2"].model_copy(update={"version": "4"})
    redis_client.hset("models", "iris@4", document.to_json())
    answer = await client.post("/models/iris/promote", json={"version": "4"})
    assert "No live worker serves version '4'" in expect_problem(answer, 503, "no-worker")


async def test_model_without_versions_has_none_to_promote(client, worker, iris):
    worker.has_folders = False
    assert (await client.post("/models/reload")).status_code == 200
    answer = await client.post("/models/iris/promote", json={"version": iris.document.version})
    assert "iris/1/model.onnx" in expect_problem(answer, 409, "rollout-state")
    found = (await client.get("/models/iris/versions")).json()
    assert [(one["version"], one["share"], one["workers"]) for one in found["versions"]] == [
        (iris.document.version, 1.0, 1)
    ]


@pytest.mark.parametrize("path", ["irsi", "iris@2", "iris~chunks"])
async def test_only_models_have_rollouts(client, worker, path):
    for method, end in (("GET", "rollout"), ("GET", "versions"), ("POST", "rollback"), ("POST", "reload")):
        expect_problem(await client.request(method, f"/models/{path}/{end}"), 404, "unknown-model")


async def test_reload_waits_for_new_versions_and_tells_which_cannot_be_loaded(client, worker):
    worker.versions, worker.left_out = ["2", "4", "5"], {"iris@5": "It has no output."}
    reloaded = (await client.post("/models/reload")).json()
    assert reloaded["versions"] == {"iris": ["2", "4"]}
    assert reloaded["unavailable"] == {"iris@5": "It has no output."}
    assert (reloaded["is_followed"], reloaded["generation"]) == (True, worker.generation)
    assert (await client.get("/models/iris")).json()["version"] == "4"
    of_iris = (await client.post("/models/iris/reload")).json()
    assert (of_iris["versions"], of_iris["unavailable"]) == (reloaded["versions"], reloaded["unavailable"])


async def test_worker_that_does_not_follow_in_time_is_named(client, worker, settings, iris, redis_client):
    with FollowingWorker(settings, iris.document, redis_client, worker_id="worker-2") as slow:
        slow.is_slow = True
        reloaded = (await client.post("/models/reload?wait=3")).json()
        assert (reloaded["is_followed"], reloaded["missing"]) == (False, ["worker-2"])
        slow.is_slow = False
        assert (await client.post("/models/reload")).json()["is_followed"]


async def test_worker_of_an_earlier_version_is_named_and_not_waited_for(client, worker, consumer):
    consumer.heartbeat(WorkerInfo("old", "here", 1, ("iris",), datetime.now(UTC)), {}, 30.0)
    async with asyncio.timeout(45):  # INFERQ_MAX_WAIT_SECONDS is 60
        reloaded = (await client.post("/models/reload")).json()
    assert (reloaded["is_followed"], reloaded["missing"]) == (False, ["old"])


async def test_worker_that_cannot_load_the_version_that_is_to_serve_is_named(client, worker, consumer):
    is_over = asyncio.Event()

    async def follow_on_another_version():
        while not is_over.is_set():
            info = WorkerInfo(
                *("astray", "here", 1, ("iris", "iris@3"), datetime.now(UTC)),
                model_versions={"iris": "3", "iris@3": "3"},
                repository_generation=worker.generation,
            )
            await asyncio.to_thread(consumer.heartbeat, info, {}, 30.0)
            await asyncio.sleep(0.05)

    following = asyncio.create_task(follow_on_another_version())
    promoted = (await client.post("/models/iris/promote", json={"version": "1"})).json()
    is_over.set()
    await following
    assert (promoted["is_followed"], promoted["missing"]) == (False, ["astray"])


async def test_rollout_of_a_model_that_no_worker_announces_any_more_is_not_changed(
    client, consumer, redis_client
):
    redis_client.hset("models:rollouts", "iris", '{"serve":"2","previous":"1"}')
    consumer.announce({"other": write_document("other", x=("FP32", [-1]), y=("FP32", [-1]))})
    assert (await read_rollout(client))["rollout"]["serve"] == "2"
    expect_problem(await client.post("/models/iris/rollback"), 404, "unknown-model")
    assert (await client.delete("/models/iris/rollout")).json()["rollout"] is None


async def test_reload_without_a_worker_says_so(client):
    expect_problem(await client.post("/models/reload"), 503, "no-worker")


async def test_request_that_waits_for_workers_is_answered_when_the_proxy_is_to_stop(client, worker):
    worker.is_slow = True
    waiting = asyncio.create_task(client.post("/models/reload"))
    client.app.state.services.close_streams()
    async with asyncio.timeout(45):  # INFERQ_MAX_WAIT_SECONDS is 60
        assert (await waiting).json()["missing"] == ["worker-1"]


@pytest.fixture
def triton(proxy):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{proxy.port}") as triton:
        yield triton


def test_triton_client_unloads_and_loads_a_model_unmodified(triton, proxy, worker):
    assert triton.is_model_ready("iris")
    triton.unload_model("iris")
    assert not triton.is_model_ready("iris")
    assert httpx.get(f"http://127.0.0.1:{proxy.port}/models/iris/rollout", timeout=60).json()["rollout"][
        "is_unloaded"
    ]
    triton.load_model("iris")
    assert triton.is_model_ready("iris")
    assert triton.is_model_ready("iris", "2")
    assert {one["version"] for one in triton.get_model_repository_index()} == {"1", "2", "3"}
    rollout = httpx.get(f"http://127.0.0.1:{proxy.port}/models/iris/rollout", timeout=60).json()
    assert (rollout["rollout"], rollout["serving"]) == (None, "3")


def test_triton_client_loads_what_is_new_of_a_model(triton, worker):
    worker.versions = ["3", "4"]
    triton.load_model("iris")
    assert triton.get_model_metadata("iris")["versions"] == ["3", "4"]
    assert not triton.is_model_ready("iris", "2")


def test_load_that_fails_is_a_400_that_says_why(triton, worker):
    with pytest.raises(InferenceServerException, match="no model 'nosuch'"):
        triton.load_model("nosuch")
    worker.left_out = {"iris@3": "It has no output."}
    with pytest.raises(InferenceServerException, match=r"iris@3: It has no output\.") as raised:
        triton.load_model("iris")
    assert raised.value.status() == "400"
    with pytest.raises(InferenceServerException, match="'config' is not taken"):
        triton.load_model("iris", config="{}")
    with pytest.raises(InferenceServerException, match="There is no model 'nosuch'"):
        triton.unload_model("nosuch")
    assert triton.is_model_ready("iris")


async def test_unloaded_model_is_changed_only_once_it_is_loaded(client, worker):
    await client.post("/models/iris/promote", json={"version": "2"})
    assert (await client.post("/v2/repository/models/iris/unload")).json() == {"name": "iris", "unload": True}
    detail = expect_problem(await client.post("/models/iris/rollback"), 409, "rollout-state")
    assert "/v2/repository/models/iris/load" in detail
    for name in ("iris", "iris@2"):
        answer = await client.post("/predict", json={"data": [[1, 2]], "model": name})
        expect_problem(answer, 503, "model-unavailable")
    assert "unloaded" in (await client.get("/models")).json()["unavailable"]["iris"]
    assert (await client.post("/v2/repository/models/iris/load")).json() == {"name": "iris", "load": True}
    assert (await read_rollout(client))["rollout"] == Rollout(serve="2", previous="3").model_dump()


async def test_python_client_does_the_same(proxy, worker):
    async with inferq.AsyncClient(f"http://127.0.0.1:{proxy.port}") as client:
        changed = await client.set_rollout("iris", serve="2", shares={"3": 0.5}, wait=60.0)
        assert (changed["serving"], changed["is_followed"]) == ("2", True)
        promoted = await client.promote("iris", "3")
        assert (promoted["serving"], promoted["rollout"]["shares"]) == ("3", {})
        assert (await client.rollout("iris"))["rollout"] == promoted["rollout"]
        assert (await client.rollback("iris"))["serving"] == "2"
        with pytest.raises(RolloutStateError):
            await client.rollback("iris")
        with pytest.raises(inferq.UnknownModelError, match="Known: 1, 2, 3"):
            await client.promote("iris", "9")
        assert (await client.model_versions("iris"))["serving"] == "2"
        await client.unload_model("iris")
        assert await client.models() == []
        await client.load_model("iris")
        with pytest.raises(ModelUnavailableError, match="no model 'nosuch'"):
            await client.load_model("nosuch")
        assert (await client.delete_rollout("iris"))["serving"] == "3"
        assert (await client.reload_models())["versions"] == {"iris": ["1", "2", "3"]}
