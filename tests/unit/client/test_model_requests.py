import httpx
import pytest

from inferq.client.model_requests import load_model, promote, reload_models, replace_rollout, roll_back
from inferq.errors import RedisUnavailableError, RolloutStateError
from tests.unit.client.drive import drive, problem


def test_rollout_has_the_members_that_were_given_alone():
    members = {"serve": None, "shares": {"3": 0.5}, "shadow": None, "tolerance": 0.0}
    done, [call] = drive(replace_rollout("iris", members, 2.5, 0), httpx.Response(200, json={"serving": "2"}))
    assert (done, str(call), call.waits_seconds) == (
        {"serving": "2"},
        "PUT /models/iris/rollout?wait=2.5",
        2.5,
    )
    assert call.body == b'{"shares":{"3":0.5},"tolerance":0.0}'


def test_promotion_is_repeated_and_a_rollback_is_not():
    lost = problem(503, "redis-unavailable")
    _, asked = drive(promote("iris", "3", None, 1), lost, httpx.Response(200, json={}))
    assert [str(call) for call in (asked[0], asked[2])] == ["POST /models/iris/promote"] * 2
    with pytest.raises(RedisUnavailableError):
        drive(roll_back("iris", None), lost)
    with pytest.raises(RolloutStateError):
        drive(roll_back("iris", None), problem(409, "rollout-state"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (reload_models(None, None, 0), "POST /models/reload"),
        (reload_models("iris", None, 0), "POST /models/iris/reload"),
        (load_model("a b", "load", 1.0, 0), "POST /v2/repository/models/a%20b/load?wait=1.0"),
        (load_model("iris", "unload", None, 0), "POST /v2/repository/models/iris/unload"),
    ],
)
def test_each_order_has_its_path(steps, expected):
    _, [call] = drive(steps, httpx.Response(200, json={}))
    assert str(call) == expected
