import asyncio
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferq.errors import (
    ErrorKind,
    InvalidInputError,
    InvalidSettingError,
    JobNotFoundError,
    ModelError,
    QueueFullError,
)
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client import scripts
from tests.integration.queue.consumer.claiming import claim_next
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


def complete(consumer, job, result=b'{"prediction":0}'):
    return consumer.finish([Outcome(job, result=result)])


def keys_without_expiry(client):
    return [key for key in client.scan_iter("*job:*") if client.ttl(key) == -1]


async def test_submitted_job_is_pending_with_the_four_keys_of_the_contract(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))

    assert re.fullmatch("[0-9a-f]{32}", job_id)
    assert redis_client.get(f"job:{job_id}:data") == DATA
    assert redis_client.get(f"job:{job_id}:status") == b"pending"
    assert redis_client.lrange("queue:iris", 0, -1) == [job_id.encode()]
    job = await producer.read(job_id)
    assert (job.status, job.result, job.error, job.queue_position) == (Status.PENDING, None, None, 1)
    assert job.submitted_at is not None
    assert keys_without_expiry(redis_client) == []


async def test_job_goes_from_pending_over_processing_to_completed(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs
    assert (job.id, job.model, job.data, job.attempt) == (job_id, "iris", DATA, 1)
    assert (await producer.read(job_id)).status is Status.PROCESSING

    assert complete(consumer, job) == ["completed"]

    done = await producer.read(job_id)
    assert (done.status, done.result, done.attempts) == (Status.COMPLETED, b'{"prediction":0}', 1)
    assert done.submitted_at <= done.started_at <= done.finished_at
    assert keys_without_expiry(redis_client) == []
    assert redis_client.zcard("queue:iris:leases") == redis_client.zcard("queue:iris:open:normal") == 0


async def test_jobs_of_a_list_are_taken_in_the_order_they_came(producer, consumer):
    submitted = [await producer.submit(Submission("iris", DATA)) for _ in range(20)]
    first = claim_next(consumer)
    rest = [job for _ in range(19) for job in consumer.claim(1)]

    assert [job.id for job in first + rest] == submitted
    assert consumer.claim(1) == []


async def test_one_claim_takes_several_jobs_in_order(producer, consumer):
    submitted = [await producer.submit(Submission("iris", DATA)) for _ in range(5)]

    assert [job.id for job in consumer.claim(3)] == submitted[:3]
    assert [job.id for job in consumer.claim(3)] == submitted[3:]


async def test_higher_priority_is_taken_first(producer, consumer):
    low = await producer.submit(Submission("iris", DATA, Priority.LOW))
    normal = await producer.submit(Submission("iris", DATA))
    high = await producer.submit(Submission("iris", DATA, Priority.HIGH))

    assert (await producer.read(low)).queue_position == 3
    assert [job.id for job in consumer.claim(3)] == [high, normal, low]


async def test_queue_position_counts_only_jobs_that_still_wait(producer, consumer):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]
    consumer.claim(2)

    assert [(await producer.read(job_id)).queue_position for job_id in ids] == [None, None, 1, 2]


async def test_claim_repeated_with_its_token_gets_the_same_jobs(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    await producer.submit(Submission("iris", DATA))
    first = consumer.claim(1, token="t1")

    assert consumer.claim(1, token="t1") == first
    assert consumer.claim(1, token="t2")[0].id != first[0].id


async def test_finish_repeated_changes_nothing(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)

    assert complete(consumer, job) == ["completed"]
    assert complete(consumer, job, b'{"prediction":2}') == ["stale"]
    assert (await producer.read(job.id)).result == b'{"prediction":0}'


async def stored_result(producer, job_id):
    """A large result, whole."""
    return b"".join([part async for part in producer.large_results.read_parts(await producer.read(job_id))])


async def test_data_and_result_larger_than_the_inline_limit_arrive_whole(producer, consumer, redis_client):
    data = json.dumps([[float(i)] * 4 for i in range(5000)]).encode()
    job_id = await producer.submit(Submission("iris", data))
    [job] = consumer.claim(1)
    assert job.data == data

    complete(consumer, job, data)

    assert await stored_result(producer, job_id) == data
    assert keys_without_expiry(redis_client) == []
    complete(consumer, job, data)
    assert list(redis_client.scan_iter(f"job:{job_id}:result:*")) == []


async def test_bad_input_fails_at_once_with_its_message(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)

    assert consumer.finish([Outcome(job, error=InvalidInputError("Expected 4 features, got 3."))]) == [
        "failed"
    ]

    failed = await producer.read(job_id)
    assert (failed.status, failed.error) == (Status.FAILED, "Expected 4 features, got 3.")
    assert failed.error_kind is ErrorKind.INVALID_INPUT


@pytest.mark.parametrize("text", ["a lone \ud800", "\x00", "x" * 100_000])
async def test_whatever_an_error_says_is_stored_and_bounded(producer, consumer, text):
    job_id = await producer.submit(Submission("iris", DATA))
    assert consumer.finish([Outcome(consumer.claim(1)[0], error=InvalidInputError(text))]) == ["failed"]
    stored = (await producer.read(job_id)).error
    assert stored[:20] == text[:20].encode("utf-8", "backslashreplace").decode()
    assert len(stored) < 4100


async def test_model_error_is_retried_and_fails_after_the_last_attempt(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    verdicts = []
    for _ in range(3):
        [job] = wait_until(lambda: (consumer.recover(), consumer.claim(1))[1], what="the retry")
        verdicts += consumer.finish([Outcome(job, error=ModelError("It broke."))])

    assert verdicts == ["retrying", "retrying", "failed"]
    failed = await producer.read(job_id)
    assert (failed.attempts, failed.error) == (3, "It broke. (after 3 attempts)")


async def test_released_job_is_next_again_and_not_charged(producer, consumer):
    first = await producer.submit(Submission("iris", DATA))
    await producer.submit(Submission("iris", DATA))
    jobs = consumer.claim(1)

    assert consumer.requeue(jobs) == ["released"]

    assert (await producer.read(first)).status is Status.PENDING
    [again] = consumer.claim(1)
    assert (again.id, again.attempt) == (first, 1)


async def test_job_of_a_dead_worker_runs_again_and_the_old_worker_cannot_fail_it(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1})
    dead, alive = Consumer(short, "dead", ["iris"]), Consumer(short, "alive", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    [lost] = dead.claim(1)
    wait_until(lambda: alive.recover().lapsed, what="the lapsed lease")
    [job] = alive.claim(1)

    assert job.id == job_id
    assert dead.renew({lost: 60.0}) == {lost: "lost"}
    assert dead.finish([Outcome(lost, error=InvalidInputError("late"))]) == ["stale"]
    assert complete(alive, job) == ["completed"]
    assert (await producer.read(job_id)).attempts == 2


async def test_renewed_lease_does_not_lapse(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.3})
    consumer = Consumer(short, "worker-1", ["iris"])
    await producer.submit(Submission("iris", DATA))
    jobs = consumer.claim(1)
    for _ in range(6):
        await asyncio.sleep(0.1)
        assert consumer.renew({jobs[0]: 60.0}) == {jobs[0]: "renewed"}
        assert consumer.recover().lapsed == 0


async def test_first_success_counts_even_when_the_lease_has_passed_on(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1})
    consumer = Consumer(short, "slow", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    wait_until(lambda: consumer.recover().lapsed, what="the lapsed lease")

    assert complete(consumer, job) == ["late"]
    assert (await producer.read(job_id)).status is Status.COMPLETED
    assert consumer.claim(1) == []


async def test_job_popped_but_never_claimed_is_found_again(producer, eager_consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")

    wait_until(lambda: eager_consumer.recover().missing, what="the missing job")
    assert [job.id for job in eager_consumer.claim(1)] == [job_id]


async def test_job_that_kills_its_worker_each_time_ends_as_crashed(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1, "max_attempts": 2})
    consumer = Consumer(short, "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    for _ in range(2):
        assert consumer.claim(1)
        wait_until(lambda: consumer.recover().lapsed, what="the lapsed lease")
    assert consumer.claim(1)
    wait_until(lambda: consumer.recover().failed, what="the failure")

    failed = await producer.read(job_id)
    assert (failed.status, failed.error_kind) == (Status.FAILED, ErrorKind.CRASHED)


@pytest.mark.parametrize("with_status", [True, False])
async def test_job_pushed_by_hand_is_served(producer, consumer, redis_client, with_status):
    redis_client.set("job:x:data", DATA)
    if with_status:
        redis_client.set("job:x:status", "pending")
    redis_client.lpush("queue:iris", "x")
    assert (await producer.read("x")).status is Status.PENDING

    [job] = claim_next(consumer)
    assert (await producer.read("x")).status is Status.PROCESSING
    complete(consumer, job)

    assert (await producer.read("x")).status is Status.COMPLETED
    assert keys_without_expiry(redis_client) == []


async def test_id_without_data_fails_with_a_sentence_and_stops_nothing(producer, consumer, redis_client):
    redis_client.lpush("queue:iris", "ghost")
    job_id = await producer.submit(Submission("iris", DATA))

    assert [job.id for job in consumer.claim(1)] == [job_id]
    ghost = await producer.read("ghost")
    assert (ghost.status, ghost.error_kind) == (Status.FAILED, ErrorKind.EXPIRED)
    assert "has no data" in ghost.error


@pytest.mark.parametrize("part", ["data", "status"])
async def test_key_of_the_wrong_type_fails_its_job_and_stops_nothing(producer, consumer, redis_client, part):
    redis_client.set("job:odd:data", DATA)
    redis_client.delete(f"job:odd:{part}")
    redis_client.sadd(f"job:odd:{part}", "what")
    redis_client.lpush("queue:iris", "odd")
    job_id = await producer.submit(Submission("iris", DATA))

    assert [job.id for job in claim_next(consumer)] == [job_id]
    odd = await producer.read("odd")
    assert (odd.status, odd.error_kind, odd.model) == (Status.FAILED, ErrorKind.INVALID_INPUT, "iris")
    assert keys_without_expiry(redis_client) == []


async def test_id_that_is_no_text_is_served_too(consumer, redis_client):
    redis_client.set(b"job:\xff\xfe:data", DATA)
    redis_client.lpush("queue:iris", b"\xff\xfe")

    [job] = claim_next(consumer)
    complete(consumer, job)

    assert redis_client.get(b"job:\xff\xfe:status") == b"completed"


async def test_outside_worker_needs_only_the_seeds_keys(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    _, popped = redis_client.brpop(["queue:iris"])
    redis_client.set(f"job:{popped.decode()}:result", '{"prediction": 1}')
    redis_client.set(f"job:{popped.decode()}:status", "completed")

    job = await producer.read(job_id)
    assert (job.status, job.result) == (Status.COMPLETED, b'{"prediction": 1}')


async def test_full_queue_refuses_and_leaves_nothing_behind(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued": 2}))
    for _ in range(2):
        await producer.submit(Submission("iris", DATA))
    with pytest.raises(QueueFullError, match="2 jobs wait for model 'iris'"):
        await producer.submit(Submission("iris", DATA))
    assert len(list(redis_client.scan_iter("job:*:data"))) == 2
    await producer.close()


async def test_unknown_job_is_not_found(producer):
    with pytest.raises(JobNotFoundError, match="never existed, or it ended and has expired"):
        await producer.read("nosuch")


async def test_scripts_come_back_after_a_script_flush(producer, consumer, redis_client):
    redis_client.script_flush()
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.script_flush()
    assert (await producer.read(job_id)).queue_position == 1
    redis_client.script_flush()
    [job] = claim_next(consumer)
    redis_client.script_flush()
    assert complete(consumer, job) == ["completed"]


@pytest.mark.parametrize("prefix", ["app[1]:", "a*:", "a?:", "[^b]*\\:", "job:*:status"])
def test_scan_for_lost_outside_jobs_takes_every_prefix_literally(settings, redis_client, prefix):
    consumer = Consumer(settings.model_copy(update={"key_prefix": prefix}), "worker-1", ["iris"])
    for before in (prefix, "app1:", "ab:", ""):
        redis_client.set(f"{before}job:x*y:data", DATA)
        redis_client.set(f"{before}job:x*y:status", "pending")
    assert consumer._orphans._find_suspects() == [b"x*y"]
    consumer.close()


async def test_key_prefix_goes_before_every_key(settings, redis_client):
    prefixed = settings.model_copy(update={"key_prefix": "{inferq}:"})
    producer, consumer = Producer.from_settings(prefixed), Consumer(prefixed, "worker-1", ["iris"])
    await producer.submit(Submission("iris", DATA))
    [job] = claim_next(consumer)
    complete(consumer, job)
    consumer.recover()

    assert all(key.startswith(b"{inferq}:") for key in redis_client.keys("*"))
    await producer.close()


async def test_many_consumers_take_each_job_once(settings, producer):
    submitted = {await producer.submit(Submission("iris", DATA)) for _ in range(200)}

    def drain(number):
        consumer = Consumer(settings, f"worker-{number}", ["iris"])
        taken = []
        while jobs := consumer.claim(3):
            taken += [job.id for job in jobs]
            consumer.finish([Outcome(job, result=b"1") for job in jobs])
        consumer.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [job_id for part in pool.map(drain, range(4)) for job_id in part]
    assert len(taken) == 200
    assert set(taken) == submitted


async def test_models_take_turns(settings, producer):
    consumer = Consumer(settings, "worker-1", ["a", "b"])
    for model in ("a", "a", "b", "b"):
        await producer.submit(Submission(model, DATA))

    assert [claim_next(consumer)[0].model for _ in range(3)] == ["a", "b", "a"]
    for model in ("a", "a", "b", "b"):
        await producer.submit(Submission(model, DATA))
    assert len({consumer.claim(2)[0].model for _ in range(2)}) == 2
    assert consumer.finish_and_claim([], {"a": 1, "b": 1})[1][0].model in ("a", "b")
    consumer.close()


async def test_ended_job_expires(settings, producer, redis_client):
    consumer = Consumer(settings.model_copy(update={"result_ttl": 0.2}), "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    complete(consumer, consumer.claim(1)[0])
    wait_until(lambda: not list(redis_client.scan_iter(f"job:{job_id}:*")), what="the expiry")
    with pytest.raises(JobNotFoundError):
        await producer.read(job_id)


def test_server_that_may_evict_jobs_is_refused(consumer, redis_client):
    consumer.check_server()
    redis_client.config_set("maxmemory", "1gb")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(InvalidSettingError, match="noeviction"):
            consumer.check_server()
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
        redis_client.config_set("maxmemory", "0")


async def test_exchange_is_sent_now_and_answered_later(producer, consumer):
    first, second, third = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)

    exchange = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 1})
    assert (await producer.read(first)).status is Status.PROCESSING
    exchange.send()
    assert (await producer.read(first)).status is Status.COMPLETED
    assert [other.id for other in consumer.claim(1)] == [third]  # on another connection meanwhile
    assert exchange.wait() == ("iris", 1)
    verdicts, [claimed] = exchange.answer()

    assert (verdicts, claimed.id, claimed.data) == (["completed"], second, DATA)
    assert complete(consumer, claimed) == ["completed"]


async def test_error_that_an_outside_program_left_goes_when_the_job_completes(
    producer, consumer, redis_client
):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.set(f"job:{job_id}:error", "not ours")
    assert complete(consumer, consumer.claim(1)[0]) == ["completed"]
    assert not redis_client.exists(f"job:{job_id}:error")


async def test_exchange_that_is_not_sent_takes_no_turn_of_the_lower_priorities(settings, producer):
    consumer = Consumer(settings.model_copy(update={"lower_share": 0.1}), "worker-1", ["iris"])
    for priority in Priority:
        await producer.submit_batch([Submission("iris", DATA, priority) for _ in range(30)])
    taken = Counter()
    for _ in range(20):
        exchange = consumer.prepare_prefetch([], {"iris": 1})
        exchange.send()
        consumer.prepare_prefetch([], {"iris": 1})
        [job] = exchange.answer()[1]
        taken[(await producer.read(job.id)).priority] += 1
    assert taken == {Priority.HIGH: 16, Priority.NORMAL: 2, Priority.LOW: 2}
    consumer.close()


async def test_exchange_carries_large_results(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    result = b"[" + b"1," * 50_000 + b"1]"
    exchange = consumer.prepare_prefetch([Outcome(job, result=result)], {"iris": 1})
    exchange.send()
    assert exchange.wait()[1] == 0
    assert exchange.answer() == (["completed"], [])
    assert await stored_result(producer, job_id) == result


async def test_exchange_sent_after_a_script_flush_claims_once(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)
    redis_client.script_flush()
    exchange = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2})
    exchange.send()
    verdicts, claimed = exchange.answer()
    assert (verdicts, [other.id for other in claimed]) == (["completed"], ids[1:])
    assert consumer.claim(1) == []


@pytest.mark.parametrize("is_cut", [False, True])
async def test_exchange_is_sent_before_another_is_answered(producer, consumer, redis_client, is_cut):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(6)]
    jobs = consumer.claim(2)
    consumer.access.pipelined.ask(("PING",))  # it is open
    redis_client.execute_command("CLIENT", "PAUSE", 200, "ALL")
    exchanges = []
    for job in jobs:
        exchanges.append(consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2}))
        exchanges[-1].send()
    assert [exchange.is_answered for exchange in exchanges] == [False, False]
    if is_cut:
        consumer.access.pipelined._connection.disconnect()
    answers = [exchange.answer() for exchange in exchanges]

    assert [[job.id for job in claimed] for _, claimed in answers] == [ids[2:4], ids[4:]]
    assert [(await producer.read(job_id)).status for job_id in ids[:2]] == [Status.COMPLETED] * 2
    assert [(await producer.read(job_id)).attempts for job_id in ids] == [1] * 6


async def test_exchange_that_was_answered_says_so(producer, consumer):
    exchange = consumer.prepare_prefetch([], {"iris": 1})
    assert exchange.is_answered  # it was not sent: there is nothing to wait for
    exchange.send()
    wait_until(lambda: exchange.is_answered, what="the answer")
    consumer.access.pipelined.hang_up()
    assert exchange.is_answered
    assert exchange.answer() == ([], [])


@pytest.mark.parametrize("asks", [["answer"], ["wait", "answer"]])
async def test_exchange_whose_answer_was_lost_is_repeated(producer, consumer, asks):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)
    exchange = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2})
    exchange.send()
    assert (await producer.read(ids[0])).status is Status.COMPLETED
    consumer.access.pipelined._connection.disconnect()

    verdicts, claimed = [getattr(exchange, ask)() for ask in asks][-1]
    assert [other.id for other in claimed] == ids[1:]
    assert verdicts == ["stale"]  # the first had stored it
    assert [complete(consumer, other) for other in claimed] == [["completed"], ["completed"]]


def test_scripts_for_many_jobs_take_none_as_well(redis_client):
    for script, arguments in ((scripts.SUBMIT, [1000, 10]), (scripts.READ, [1000])):
        assert redis_client.eval(script.source, 1, "models", "", *arguments) == []
