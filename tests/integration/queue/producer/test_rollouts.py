"""What operators say of versions, and how workers learn of it."""

from datetime import UTC, datetime

import pytest

from inferq.jobs import WorkerInfo
from inferq.rollout import Rollout

CANDIDATE = Rollout(serve="2", shares={"3": 0.1}, previous="1")


@pytest.fixture
def beat(consumer):
    """Sends a heartbeat that tells as of which generation the worker has read the repository."""

    def beat(generation=None):
        info = WorkerInfo(
            "worker-1", "host", 1, ("iris",), datetime.now(UTC), repository_generation=generation
        )
        return consumer.heartbeat(info, {"iris": b"{}"}, 30.0)

    return beat


async def test_workers_see_a_new_generation_with_each_change_and_each_reload(producer, consumer, beat):
    assert beat() == 0
    rollout, changed = await producer.change_rollout("iris", lambda present: present or CANDIDATE)
    assert (rollout, beat(), consumer.read_rollouts()) == (CANDIDATE, changed, {"iris": CANDIDATE})
    assert await producer.read_rollouts() == {"iris": CANDIDATE}
    assert changed < await producer.request_reload() == beat(changed)
    [worker] = await producer.read_workers()
    assert worker.repository_generation == changed

    rollout, removed = await producer.change_rollout("iris", lambda _: None)
    assert (rollout, beat(), consumer.read_rollouts()) == (None, removed, {})


async def test_worker_that_does_not_reload_is_known(producer, beat):
    beat()
    [worker] = await producer.read_workers()
    assert worker.repository_generation is None


async def test_change_to_what_is_there_already_is_none(producer, beat):
    _, changed = await producer.change_rollout("iris", lambda _: CANDIDATE)
    assert await producer.change_rollout("iris", lambda _: CANDIDATE) == (CANDIDATE, changed)
    assert beat() == changed


async def test_change_that_another_came_before_is_made_anew(producer, redis_client):
    seen = []

    def change(present):
        if not seen:
            redis_client.hset("models:rollouts", "iris", '{"serve":"7"}')
        seen.append(present)
        return present.model_copy(update={"previous": "2"}) if present else CANDIDATE

    rollout, _ = await producer.change_rollout("iris", change)
    assert (seen, rollout) == ([None, Rollout(serve="7")], Rollout(serve="7", previous="2"))


async def test_generation_is_new_although_the_server_has_lost_it(producer, redis_client, beat):
    lost = await producer.request_reload()
    redis_client.delete("models:generation")
    assert beat(lost) == 0
    assert await producer.request_reload() > lost


@pytest.mark.parametrize("corrupt", ["many", "inf", "nan", "-1", "1e300"])
async def test_what_other_programs_write_there_stops_nothing(producer, consumer, redis_client, beat, corrupt):
    redis_client.set("models:generation", corrupt)
    redis_client.hset("models:rollouts", mapping={"iris": '{"serve":', "other": '{"serve":"1"}'})
    assert (beat(), consumer.read_rollouts()) == (0, {"other": Rollout(serve="1")})
    assert await producer.request_reload() == beat()
    assert await producer.change_rollout("iris", lambda present: present or CANDIDATE) == (CANDIDATE, beat())


async def test_change_that_is_refused_changes_nothing(producer, consumer, beat):
    def refuse(present):
        raise KeyError("no such version")

    with pytest.raises(KeyError):
        await producer.change_rollout("iris", refuse)
    assert (beat(), consumer.read_rollouts()) == (0, {})
