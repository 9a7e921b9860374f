"""Everything that can happen to jobs, in any order, on a real server, held against `reference.Reference`.

Hypothesis draws the order. Nothing sleeps: the clock is moved by rewriting the times kept in Redis.
"""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from inferq.errors import InvalidInputError, JobNotFoundError, JobStateError, ModelError
from inferq.jobs import ClaimedJob, Outcome, Priority, Status
from inferq.queue.consumer.claims.claim import Popped
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.schema.keys import Keys
from inferq.queue.schema.record import parse_record
from tests.integration.queue import reference
from tests.integration.queue.reference import Reference
from tests.records import leased, record, turn_clock

DATA = b"[[5.1,3.5,1.4,0.2]]"
MODEL = "iris"
KEYS = Keys()
QUEUE = KEYS.queue(MODEL)
PRIORITIES = st.sampled_from(Priority)
RESULTS = st.sampled_from([b'{"prediction":0}', b'{"prediction":1}', b'"' + b"x" * 20_000 + b'"'])


class PlannedRetries(RetryPolicy):
    """Whose pauses the reference knows."""

    def draw_delay(self, attempt):
        return reference.backoff(attempt)


class QueueMachine(RuleBasedStateMachine):
    """One producer, two consumers, outside programs, and the reference beside them."""

    jobs = Bundle("jobs:records")
    pops = Bundle("pops")
    claims = Bundle("claims")
    taken_outside = Bundle("taken_outside")

    def __init__(self, client, settings, runner):
        super().__init__()
        client.flushall()
        self.client, self.runner = client, runner
        self.producer = Producer.from_settings(settings)
        self.consumers = [
            Consumer(
                settings,
                f"worker-{number}",
                [MODEL],
                {MODEL: f"version-{number}"},
                retries=PlannedRetries(settings.max_attempts, base_seconds=1.0, cap_seconds=10_000.0),
                times=RecoveryTimes(missing_seconds=reference.GRACE),
            )
            for number in range(2)
        ]
        self.consumers[0].announce({MODEL: b"{}"})
        self.model = Reference()
        self.numbers = count(1)
        self.unrecovered = 0.0
        self.heard = []
        self.channel = client.pubsub()
        self.channel.subscribe("events")

    def teardown(self):
        try:
            self.drain()
        finally:
            self.channel.close()
            for consumer in self.consumers:
                consumer.close()
            self.runner.run(self.producer.close())

    # what happens

    @rule(target=jobs, priority=PRIORITIES)
    def submit(self, priority):
        job_id = self.runner.run(self.producer.submit(Submission(MODEL, DATA, priority)))
        self.model.submit(job_id, priority)
        return job_id

    @rule(job_id=jobs, priority=PRIORITIES)
    def submit_again_since_the_reply_was_lost(self, job_id, priority):
        if self.model.jobs[job_id].state in ("foreign", "gone"):
            return
        self.runner.run(self.producer.submit(Submission(MODEL, DATA, priority, id=job_id)))
        job = self.model.jobs[job_id]
        job.has_data = job.has_data or job.status is not Status.COMPLETED

    @rule(target=jobs, priority=PRIORITIES, says_pending=st.booleans())
    def push_from_outside(self, priority, says_pending):
        job_id = f"outside-{next(self.numbers)}"
        self.client.set(KEYS.job(job_id, "data"), DATA)
        if says_pending:
            self.client.set(KEYS.job(job_id, "status"), "pending")
        self.client.lpush(KEYS.list(MODEL, priority), job_id)
        self.model.push(job_id, priority, says_pending=says_pending)
        return job_id

    @rule(target=pops)
    def pop(self):
        expected = self.model.pop()
        if expected is None:
            return multiple()
        key, job_id = self.client.brpop([KEYS.list(MODEL, priority) for priority in Priority])
        priority = next(priority for priority in Priority if KEYS.list(MODEL, priority) == key.decode())
        popped = Popped(job_id.decode(), MODEL, priority, f"token-{next(self.numbers)}")
        assert (popped.id, popped.priority) == expected
        return popped

    @rule(target=claims, who=st.integers(0, 1), limit=st.integers(1, 4))
    def wait_and_claim(self, who, limit):
        if not any(self.model.lists.values()) or not self.model.is_plain:
            return multiple()
        popped = self.model.pop()
        _, jobs, unclaimed = self.consumers[who].wait_and_claim(limit)
        if unclaimed:
            assert (unclaimed.id, unclaimed.priority) == popped
            return self._claim(who, limit, unclaimed)
        token = jobs[0].token if jobs else "none"
        expected = self.model.claim(limit, token, popped, f"version-{who}")
        assert [(job.id, job.attempt) for job in jobs] == expected
        return multiple(*jobs)

    @rule(target=claims, who=st.integers(0, 1), limit=st.integers(1, 4))
    def claim(self, who, limit):
        return self._claim(who, limit, None)

    @rule(target=claims, who=st.integers(0, 1), limit=st.integers(1, 4), popped=pops)
    def claim_popped(self, who, limit, popped):
        return self._claim(who, limit, popped)

    def _claim(self, who, limit, popped: Popped | None):
        token = f"token-{next(self.numbers)}"
        taken = self.consumers[who].claim(limit, popped, token)
        before = (popped.id, popped.priority) if popped else None
        expected = self.model.claim(limit, token, before, f"version-{who}")
        assert [(job.id, job.attempt) for job in taken] == expected
        assert all(job.data == DATA for job in taken)
        return multiple(*taken)

    @rule(claim=claims, who=st.integers(0, 1))
    def claim_again_since_the_reply_was_lost(self, claim: ClaimedJob, who):
        if self.model.claimed_with(claim.token):
            taken = self.consumers[who].claim(4, None, claim.token)
            assert [(job.id, job.attempt) for job in taken] == self.model.claimed_with(claim.token)

    @rule(claim=claims, who=st.integers(0, 1), result=RESULTS)
    def succeed(self, claim, who, result):
        expected = self.model.complete(claim.id, claim.token, result)
        outcome = Outcome(claim, result, None, 0.5, 1, is_first_of_run=True)
        assert self.consumers[who].finish([outcome]) == [expected]

    @rule(
        claim=claims,
        who=st.integers(0, 1),
        error=st.sampled_from([ModelError("No."), InvalidInputError("No.")]),
    )
    def fail(self, claim, who, error):
        expected = self.model.fail(claim.id, claim.token, error.kind, claim.attempt)
        outcome = Outcome(claim, None, error, 0.5, 1, is_first_of_run=True)
        assert self.consumers[who].finish([outcome]) == [expected]

    @rule(claim=claims, who=st.integers(0, 1))
    def release(self, claim, who):
        assert self.consumers[who].requeue([claim]) == [self.model.release(claim.id, claim.token)]

    @rule(claim=claims, who=st.integers(0, 1), longest=st.sampled_from([500.0, 1e6]))
    def renew(self, claim, who, longest):
        expected = self.model.renew(claim.id, claim.token, longest)
        assert self.consumers[who].renew({claim: longest}) == {claim: expected}

    @rule(job_id=jobs)
    def cancel(self, job_id):
        expected = self.model.cancel(job_id)
        if expected is None:
            with pytest.raises((JobStateError, JobNotFoundError)):
                self.runner.run(self.producer.cancel(job_id))
        else:
            assert self.runner.run(self.producer.cancel(job_id)) is expected

    @rule()
    def cancel_waiting(self):
        assert self.runner.run(self.producer.cancel_waiting(MODEL)) == self.model.cancel_waiting()

    @rule(job_id=jobs)
    def retry(self, job_id):
        if self.model.retry(job_id):
            self.runner.run(self.producer.retry(job_id))
        else:
            with pytest.raises((JobStateError, JobNotFoundError)):
                self.runner.run(self.producer.retry(job_id))

    @rule(ticks=st.sampled_from([1, 10, 20, 700]))
    def let_time_pass(self, ticks):
        seconds = ticks * reference.TICK
        turn_clock(self.client, seconds)
        self.model.advance(seconds)
        self.forget_expired()
        self.unrecovered += seconds
        if (
            self.unrecovered > 7000
        ):  # some worker always lives: what is not recovered for days is lost with its keys
            self.recover(0)

    @rule(who=st.integers(0, 1))
    def recover(self, who):
        self.unrecovered = 0.0
        found = self.consumers[who].recover()
        lapsed, crashed = self.model.reclaim_lapsed()
        due = self.model.requeue_due()
        missing = self.model.accept_lists(self.lists(), lapsed, due)
        self.reconcile_what_ended_outside()
        expired = self.model.expire_waiting()
        assert (found.lapsed, found.due, found.missing, found.failed) == (
            len(lapsed), len(due), missing, crashed + expired,
        )  # fmt: skip

    def reconcile_what_ended_outside(self):
        """Recovery finds such a job once nothing older waits, so the model looks whether it has."""
        for job in self.model.jobs.values():
            if job.state == "queued" and record(self.client, job.id).get("state") == "ended":
                self.model.reconcile_outside(job)

    @rule(who=st.integers(0, 1))
    def rescue(self, who):
        for job_id in self.consumers[who].requeue_orphans():
            job = self.model.jobs[job_id]
            assert job.state == "foreign"
            assert self.model.now - self.model.popped[job_id] >= reference.GRACE
            self.model.lists[Priority.NORMAL].append(job_id)
            self.model.counts["recovered"] += 1

    @rule(target=taken_outside, says_processing=st.booleans())
    def outside_worker_claims(self, says_processing):
        job_id = self.model.claim_outside(says_processing=says_processing)
        if job_id is None:
            return multiple()
        popped = self.client.brpop([KEYS.list(MODEL, priority) for priority in Priority])
        assert popped[1].decode() == job_id
        if self.model.jobs[job_id].outside is Status.PROCESSING:
            self.client.set(KEYS.job(job_id, "status"), "processing")
        return job_id

    @rule(job_id=taken_outside, status=st.sampled_from([Status.COMPLETED, Status.FAILED]))
    def outside_worker_ends(self, job_id, status):
        job = self.model.jobs[job_id]
        # what it writes over an end is not our promise: it keeps no lease and asks nobody
        if job.state in ("ended", "gone") or (job.outside and job.outside.is_final):
            return
        self.client.set(KEYS.job(job_id, "result" if status is Status.COMPLETED else "error"), b"1")
        self.client.set(KEYS.job(job_id, "status"), status)
        self.model.end_outside(job_id, status, b"1")

    # what often happens together, for the draw seldom finds it

    @rule(who=st.integers(0, 1), limit=st.integers(1, 4))
    def worker_dies_with_its_jobs(self, who, limit):
        self._claim(who, limit, None)
        self.let_time_pass(20)
        self.recover(who)

    @rule(status=st.sampled_from([Status.COMPLETED, Status.FAILED]))
    def outside_worker_is_so_slow_that_its_job_is_requeued(self, status):
        job_id = self.outside_worker_claims(says_processing=False)
        self.recover(0)
        self.let_time_pass(10)
        self.recover(0)
        if isinstance(job_id, str):
            self.outside_worker_ends(job_id, status)

    @rule(
        target=claims,
        who=st.integers(0, 1),
        limit=st.integers(1, 4),
        act=st.sampled_from(["succeed", "fail", "release", "renew"]),
    )
    def worker_wakes_up_after_another_got_its_jobs(self, who, limit, act):
        old = self._claim(who, limit, None)
        self.let_time_pass(20)
        self.recover(1 - who)
        new = self._claim(1 - who, limit, None)
        for claim in old.values:
            if act == "succeed":
                self.succeed(claim, who, b"2")
            elif act == "fail":
                self.fail(claim, who, ModelError("No."))
            elif act == "release":
                self.release(claim, who)
            else:
                self.renew(claim, who, 1e6)
        return multiple(*old.values, *new.values)

    @rule(who=st.integers(0, 1))
    def worker_dies_between_pop_and_claim(self, who):
        self.pop()
        self.recover(1 - who)
        self.let_time_pass(10)
        self.recover(1 - who)

    @rule(target=claims, who=st.integers(0, 1), limit=st.integers(1, 4))
    def model_breaks(self, who, limit):
        claimed = self._claim(who, limit, None)
        for claim in claimed.values:
            self.fail(claim, who, ModelError("No."))
        self.let_time_pass(10)
        self.recover(who)
        return claimed

    # what must be true after every step

    def lists(self):
        return {
            priority: [member.decode() for member in self.client.lrange(KEYS.list(MODEL, priority), 0, -1)]
            for priority in Priority
        }

    def members(self, name):
        return {member.decode() for member in self.client.zrange(f"{QUEUE}:{name}", 0, -1)}

    def forget_expired(self):
        """Keys of outside jobs expire once the scan has seen them."""
        for job in self.model.jobs.values():
            age = self.model.now - job.submitted_at
            is_old = job.state == "foreign" and age > reference.JOB_TTL + reference.RESULT_TTL
            if is_old and not self.client.exists(KEYS.job(job.id, "data")):
                job.state, job.outside, job.result = "gone", None, None

    def in_state(self, state):
        return {job.id for job in self.model.jobs.values() if job.state == state}

    @invariant()
    def lists_hold_the_waiting_jobs_in_order(self):
        assert self.lists() == self.model.lists
        waiting = {job_id for ids in self.model.lists.values() for job_id in ids}
        for job_id in self.in_state("queued") | self.in_state("foreign"):
            assert job_id in waiting or job_id in self.model.popped, "in no list, and nobody popped it"

    @invariant()
    def every_open_job_is_in_the_index_of_its_state_and_no_other(self):
        assert sorted(leased(self.client)) == sorted(self.in_state("leased"))
        held = {job.token for job in self.model.jobs.values() if job.state == "leased"}
        assert {key.decode() for key in self.client.keys("claim:*")} == {f"claim:{token}" for token in held}
        assert self.members("retries") == self.in_state("retrying")
        for priority in Priority:
            assert self.members(f"open:{priority}") == {job.id for job in self.model.open_in(priority)}
        failed = {job_id for job_id in self.in_state("ended") if self.model.jobs[job_id].failed}
        assert failed <= self.members("dead")

    @invariant()
    def every_job_reads_as_the_model_says(self):
        ids = list(self.model.jobs)
        for job_id, view in zip(ids, self.runner.run(self.producer.read_many(ids)), strict=True):
            job = self.model.jobs[job_id]
            if job.state == "gone":
                assert view is None
                continue
            assert (view.status, view.result, view.error_kind) == (
                job.status, job.result if job.status is Status.COMPLETED else None,
                view.error_kind if job.outside or job.closed_for_outside else job.kind,
            )  # fmt: skip
            assert (view.error is not None) == (job.status is Status.FAILED)
            assert view.attempts == job.attempts
            assert view.model_version == (job.version or None)
            assert job.attempts - job.attempts_before <= reference.MAX_ATTEMPTS + 1
            assert job.failures <= reference.MAX_ATTEMPTS

    @invariant()
    def bytes_are_counted_of_those_that_have_not_ended_alone(self):
        jobs = [parse_record(stored) for stored in self.client.hvals("jobs:records")]
        held = sum(int(job["bytes"]) for job in jobs if job.get("state", "ended") != "ended")
        assert int(self.client.hget("jobs:records", "|bytes") or 0) == held

    @invariant()
    def every_end_is_counted_once(self):
        counts = {
            field.decode(): int(count) for field, count in self.client.hgetall(KEYS.counts(MODEL)).items()
        }
        assert counts == +self.model.counts
        ends = sum(
            count
            for field, count in counts.items()
            if field in ("completed", "lost") or field.startswith("failed|")
        )
        began = int(self.client.get(KEYS.sequence(MODEL)) or 0) + counts.get("pushed", 0)
        assert began == ends + sum(self.client.zcard(KEYS.open(MODEL, priority)) for priority in Priority)

    @invariant()
    def metrics_add_up_to_the_job(self):
        metrics = self.runner.run(self.producer.read_metrics()).models[MODEL]
        assert {priority: number for priority, number in metrics.submitted.items() if number} == dict(
            self.model.submitted
        )
        assert sum(metrics.submitted.values()) + metrics.user_retries == (
            sum(metrics.ended.values()) + metrics.open
        )
        assert (metrics.running, metrics.retrying) == (
            len(self.in_state("leased")), len(self.in_state("retrying")),
        )  # fmt: skip
        if self.model.is_plain:
            assert metrics.open == sum(metrics.waiting.values()) + metrics.running + metrics.retrying
        assert sum(metrics.wait.counts) == sum(metrics.total.counts) == self.model.ends_of_workers
        assert sum(metrics.run.counts) == metrics.batch.total == self.model.runs
        assert sum(metrics.run_seconds.values()) == metrics.run.total == 0.5 * self.model.runs

    @invariant()
    def every_key_of_a_job_expires(self):
        for key in self.client.keys("job:*"):
            job = self.model.jobs[key.decode().removeprefix("job:").rpartition(":")[0]]
            assert job.state == "foreign" or job.outside or self.client.pttl(key) != -1, key

    @invariant()
    def each_end_is_told_once(self):
        self.channel.ping("heard all")  # answered after whatever was published before
        message = {"type": "none"}
        while message["type"] != "pong":
            message = self.channel.get_message(timeout=30)
            assert message is not None, "the server answers"
            if message["type"] == "message":
                self.heard += message["data"].decode().split(",")
        ends = [event for event in self.heard if event.endswith((":completed", ":failed"))]
        assert sorted(ends) == sorted(self.model.events)

    # and at last

    def drain(self):
        """Whatever happened: with a living worker, every job ends."""
        for job in list(self.model.jobs.values()):
            if job.outside is Status.PROCESSING:
                self.outside_worker_ends(job.id, Status.COMPLETED)
        lost = {
            job.id for job in self.model.jobs.values() if job.state == "foreign" and not job.says_pending
        } - {job_id for ids in self.model.lists.values() for job_id in ids}
        for _ in range(20):
            open_jobs = [
                job.id
                for job in self.model.jobs.values()
                if job.id not in lost
                and job.state not in ("ended", "gone")
                and not (job.state == "foreign" and job.outside)
            ]
            if not open_jobs:
                break
            self.let_time_pass(20)
            self.recover(0)
            self.rescue(0)
            for claim in self._claim(0, 4, None).values:
                self.succeed(claim, 0, b"1")
        assert not open_jobs, "jobs that never ended"
        self.each_end_is_told_once()
        for priority in Priority:
            assert self.client.zcard(f"{QUEUE}:open:{priority}") == 0
        assert list(self.client.scan_iter("job:*:result:*")) == [], "staged results are taken or dropped"


def test_every_accepted_job_has_one_outcome_whatever_happens_in_any_order(redis_client, settings):
    settings = settings.model_copy(
        update={
            "lower_priority_share": 0.0,
            "lease_seconds": reference.LEASE,
            "job_ttl_seconds": reference.JOB_TTL,
            "result_ttl_seconds": reference.RESULT_TTL,
            "max_attempts": reference.MAX_ATTEMPTS,
        }
    )
    with asyncio.Runner() as runner:
        run_state_machine_as_test(
            lambda: QueueMachine(redis_client, settings, runner),
            settings=hypothesis_settings(
                max_examples=40,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                print_blob=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[
                    Phase.generate
                ],  # add Phase.shrink for the shortest order that fails: it takes minutes
            ),
        )
