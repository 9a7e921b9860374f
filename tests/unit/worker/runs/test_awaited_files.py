"""Which files are fetched when, and which jobs are taken then."""

from concurrent.futures import Future
from types import SimpleNamespace

from inferq.jobs import ClaimedJob
from inferq.worker.runs.awaited_files import AwaitedFiles


def make_job(name, model="iris", shard=0, **options):
    return ClaimedJob(name, model, b"", 1, "token", shard=shard, **options)


class Fetches:
    """Fetches that end when a test says so."""

    def __init__(self):
        self.by_url = {}
        self.awaited = AwaitedFiles(self._fetch)

    def _fetch(self, remote_files):
        files = self.by_url[remote_files[0].url] = Future()
        return files

    def add(self, job, host="a.example"):
        """Adds a job that names a file of its own; returns the file's URL."""
        url = f"https://{host}/{job.id}"
        self.awaited.add(job, [SimpleNamespace(url=url)])
        return url


def test_jobs_are_taken_when_their_files_are_there_those_of_one_queue_together():
    fetches = Fetches()
    jobs = [make_job("1"), make_job("2", "other"), make_job("3"), make_job("4", shard=1), make_job("5")]
    urls = [fetches.add(job) for job in jobs]
    awaited = fetches.awaited
    awaited.wait(0.01)
    assert (awaited.has_ready, awaited.take()) == (False, ([], []))
    for url in urls[:4]:
        fetches.by_url[url].set_result({url: b"x"})
    awaited.wait(60)
    assert awaited.has_ready
    assert [awaited.take()[0] for _ in range(4)] == [[jobs[0], jobs[2]], [jobs[1]], [jobs[3]], []]
    assert awaited.find_files(jobs[0]).result() == {urls[0]: b"x"}
    assert (len(awaited), jobs[4] in awaited, jobs[0] in awaited) == (1, True, False)


def test_files_of_few_jobs_are_fetched_at_a_time_and_no_host_has_all_of_them():
    fetches = Fetches()
    of_one = [make_job(f"a{number}") for number in range(10)]
    of_others = [make_job(f"b{number}") for number in range(3)]
    urls = [fetches.add(job) for job in of_one] + [fetches.add(job, "b.example") for job in of_others]
    assert [*fetches.by_url] == urls[:6] + urls[10:12]
    for url in urls[:2]:
        fetches.by_url[url].set_result({})
    taken, _ = fetches.awaited.take()
    assert taken == of_one[:2]
    assert len(fetches.by_url) == 8, "what was fetched is in memory until it has run"
    fetches.awaited.forget(taken)
    assert [*fetches.by_url][8:] == urls[6:8], "the oldest come first"


def test_job_that_nobody_waits_for_ends_its_fetch_and_makes_room():
    fetches = Fetches()
    jobs = [make_job(str(number)) for number in range(8)]
    urls = [fetches.add(job) for job in jobs]
    fetches.awaited.give_up(jobs[0])
    fetches.awaited.give_up(jobs[7])
    fetches.awaited.give_up(make_job("unknown"))
    assert fetches.by_url[urls[0]].cancelled()
    assert fetches.awaited.take() == ([], [jobs[0], jobs[7]])
    assert [*fetches.by_url] == urls[:7]
    assert fetches.awaited.close() == jobs[1:7]
    assert all(fetches.by_url[url].cancelled() for url in urls[:7])
    assert not fetches.awaited


def test_job_that_must_run_alone_is_taken_alone():
    fetches = Fetches()
    alone = {"2", "4", "5"}
    jobs = [make_job(name, runs_alone=name in alone) for name in "12345"]
    for job in jobs:
        fetches.by_url[fetches.add(job)].set_result({})
    taken = [[job.id for job in fetches.awaited.take()[0]] for _ in range(5)]
    assert taken == [["1", "3"], ["2"], ["4"], ["5"], []]


def test_nothing_is_fetched_for_a_job_that_was_given_up_before_its_turn():
    fetches = Fetches()
    jobs = [make_job(str(number)) for number in range(10)]
    urls = [fetches.add(job, f"{job.id}.example") for job in jobs]
    for url in urls[:2]:
        fetches.by_url[url].set_result({})
    taken, _ = fetches.awaited.take()
    fetches.awaited.give_up(jobs[8])
    fetches.awaited.forget(taken)
    assert [*fetches.by_url] == urls[:8] + urls[9:]
    assert fetches.awaited.take() == ([], [jobs[8]])


def test_job_that_is_given_up_while_its_fetch_begins_ends_it():
    fetches, job = Fetches(), make_job("1")
    begin = fetches.awaited._fetch

    def fetch(remote_files):
        fetches.awaited.give_up(job)  # by another thread
        return begin(remote_files)

    fetches.awaited._fetch = fetch
    url = fetches.add(job)
    assert fetches.awaited.take() == ([], [job])
    assert fetches.by_url[url].cancelled()


def test_job_that_is_given_up_while_others_are_taken_does_not_run():
    fetches, job = Fetches(), make_job("1")
    url = fetches.add(job)
    done = fetches.by_url[url].done
    fetches.by_url[url].done = lambda: fetches.awaited.give_up(job) or done()  # by another thread
    assert fetches.awaited.take() == ([], [])
    assert fetches.awaited.take() == ([], [job])
