from inferq.jobs import ClaimedJob
from inferq.worker.runs.held_jobs import HeldJobs


def claim(number, token="token"):
    return ClaimedJob(id=str(number), model="m", data=b"", attempt=1, token=token)


def test_jobs_are_held_from_claim_to_stored_end():
    held, jobs = HeldJobs(), [claim(1), claim(2)]
    held.add(jobs)
    assert held.read() == jobs
    held.note_finished(jobs[:1])
    assert held.read() == jobs
    assert [held.is_unfinished(job) for job in jobs] == [False, True]
    held.discard(jobs[:1])
    assert held.read() == jobs[1:]
    assert not held.is_unfinished(jobs[0])


def test_job_that_is_added_twice_is_held_once():
    held = HeldJobs()
    held.add([claim(1)._replace(data=b"long")])
    held.add([claim(1)])
    assert held.read() == [claim(1)]


def test_same_job_under_another_lease_is_another():
    held = HeldJobs()
    held.add([claim(1, "first"), claim(1, "second")])
    held.note_finished([claim(1, "first")])
    held.discard([claim(1, "first")])
    assert held.read() == [claim(1, "second")]
    assert held.is_unfinished(claim(1, "second"))
