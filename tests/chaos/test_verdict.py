"""The verdict itself is tested: each broken promise must be found."""

import pytest

from inferq.blobs import BlobPart, FolderStore, make_key
from inferq.errors import ErrorKind
from inferq.queue import Producer, Submission
from inferq.settings import Settings
from inferq.tensors.envelope import write_reference
from tests.chaos.journal import Entry, Journal, Origin
from tests.chaos.verdict import Verdict
from tests.chaos.watchers import EventWatcher
from tests.records import write_record


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


@pytest.fixture
def judge(redis_client, redis_url, journal):
    def judge():
        Verdict(
            redis_client,
            journal,
            EventWatcher([Settings(redis_url=redis_url)], journal),
            ["iris"],
            max_attempts=3,
        ).judge()
        return journal.violations

    return judge


@pytest.fixture
def job(redis_client, journal):
    """Puts an ended job there, sound unless told otherwise."""

    def job(status="completed", result="{}", error=None, kind=None, expected_kind=None, **fields):
        parts = {"status": status, "result": result, "error": error}
        for part, value in parts.items():
            if value is not None:
                redis_client.set(f"job:a:{part}", value, ex=60)
        if kind is not None:
            fields["error_kind"] = kind
        write_record(redis_client, "a", **{"state": "ended", "attempts": 1} | fields)
        redis_client.expire("jobs:records", 60)
        entry = Entry("a", Origin.HTTP, None if expected_kind else b"{}", expected_kind)
        journal.add(entry)
        return entry

    return job


def test_sound_run_has_no_violation(judge, job):
    job()
    assert judge() == []


def test_job_that_failed_as_it_must_is_sound(judge, job):
    job("failed", None, "no", ErrorKind.INVALID_INPUT, ErrorKind.INVALID_INPUT)
    assert judge() == []


def test_model_error_that_was_not_tried_again_is_found(judge, job):
    job("failed", None, "no", ErrorKind.MODEL_ERROR, ErrorKind.MODEL_ERROR, failures=1)
    assert "3 are due" in judge()[0]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ({"status": None}, "is lost"),
        ({"status": "pending"}, "is lost"),
        ({"state": "leased"}, "is lost"),
        ({"result": '{"of":"another"}'}, "with another result"),
        ({"result": None}, "with result False"),
        ({"error": "both"}, "error b'both'"),
        ({"attempts": 5}, "tried 5 times"),
        ({"status": "failed", "result": None, "error": "died", "kind": "crashed"}, "expected completed"),
        ({"status": "failed", "result": None, "error": "no", "kind": "cancelled"}, "expected completed"),
        ({"expected_kind": ErrorKind.INVALID_INPUT}, "expected invalid-input"),
    ],
)
def test_job_that_is_not_what_it_must_be_is_found(judge, job, broken, complaint):
    job(**broken)
    assert complaint in " ".join(judge())


def test_cancelled_job_that_completed_is_found(judge, job):
    job().cancelled_at = 10.0
    assert "is completed" in judge()[0]


def test_end_that_is_not_counted_is_found(judge, job, redis_client):
    job(model="iris")
    redis_client.set("queue:iris:sequence", 1)
    assert judge() == [
        "of iris 1 jobs began, and these ends are counted: {}",
        "of iris 1 jobs are completed, and 0 are counted",
    ]


def test_end_that_is_counted_is_sound(judge, job, redis_client):
    job(model="iris")
    redis_client.set("queue:iris:sequence", 2)
    redis_client.hset(
        "queue:iris:counts", mapping={"pushed": 1, "completed": 1, "failed|expired": 2, "retried": 1}
    )
    assert judge() == []


async def test_metrics_that_do_not_add_up_are_found(redis_client, settings, redis_url, journal):
    verdict = Verdict(
        redis_client,
        journal,
        EventWatcher([Settings(redis_url=redis_url)], journal),
        ["iris"],
        max_attempts=3,
    )
    redis_client.hset("models", "iris", "{}")
    producer = Producer.from_settings(settings)
    await producer.submit(Submission("iris", b"[[5.1,3.5,1.4,0.2]]"))
    verdict.judge_metrics(await producer.read_metrics())
    assert journal.violations == []
    redis_client.incr("queue:iris:sequence")
    verdict.judge_metrics(await producer.read_metrics())
    await producer.close()
    assert journal.violations == [
        "of iris the metrics say that 2 jobs began, 0 ended, 1 wait, 0 run and 0 will be tried again"
    ]


def test_key_without_expiry_is_found(judge, job, redis_client):
    job()
    redis_client.persist("job:a:result")
    assert judge() == ["job:a:result has no expiry"]


@pytest.mark.parametrize("key", ["queue:iris:leases", "queue:iris:retries", "queue:iris:open:normal"])
def test_leftover_of_the_queue_is_found(judge, redis_client, key):
    redis_client.zadd(key, {"a": 1})
    assert f"the queue is not empty: {key} holds 1" in judge()


def test_job_of_a_lost_answer_that_never_ends_is_found(judge, redis_client):
    redis_client.set("job:b:status", "processing", ex=60)
    assert judge() == ["job b, whose 202 never arrived, is b'processing'"]


def test_dead_letter_that_has_not_failed_is_found(judge, job, redis_client):
    job()
    redis_client.zadd("queue:iris:dead", {"a": 1})
    assert judge() == ["dead letter b'a' is b'completed'"]


def test_end_that_was_announced_twice_is_found(redis_url, journal):
    watcher = EventWatcher([Settings(redis_url=redis_url)], journal)
    watcher._note({"data": b"a:completed,b:completed"})
    watcher._note({"data": b"a:failed"})
    assert journal.violations == ["job a ended twice: completed, then failed"]


def test_blobs_without_a_name_and_names_without_a_blob_are_found(redis_client, redis_url, journal, tmp_path):
    store = FolderStore(tmp_path / "blobs")
    verdict = Verdict(
        redis_client, journal, EventWatcher([Settings(redis_url=redis_url)], journal), ["iris"], 3, store
    )
    named, missing, orphan = (make_key(job_id, BlobPart.DATA) for job_id in "abc")
    for key in (named, orphan):
        store.write(key, b"x")
    redis_client.set("job:a:data", write_reference(named, b"x", store.identify()))
    redis_client.set("job:b:data", write_reference(missing, b"x", store.identify()))
    assert verdict.find_orphan_blobs() == [orphan]
    assert journal.violations == [f"the blob {missing} is named, and missing"]
