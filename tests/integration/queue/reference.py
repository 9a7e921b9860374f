"""What the queue promises, in plain Python: the model that `test_state_machine.py` holds the scripts against.

Times are seconds of a clock that only `advance` moves. Where the queue is free in what it does (when exactly
a lost job is found), the model is told what was seen and says whether that was allowed.
"""

from collections import Counter
from dataclasses import dataclass, field

from inferq.errors import ErrorKind
from inferq.jobs import Priority, Status
from inferq.queue.retry_policy import RETRIED_KINDS

LEASE = 1000.0
GRACE = 300.0
JOB_TTL = 100_000.0
RESULT_TTL = 50_000.0
MAX_ATTEMPTS = 3
TICK = 70.0
"""The clock moves by multiples of this. No duration above is one, so real milliseconds decide nothing."""


def backoff(attempt: int) -> float:
    """Delay of a retry, without the jitter."""
    return 111.0 * attempt


@dataclass
class Record:
    """One job as the model sees it.

    `state` is that in its record, or `foreign` (no script has seen it), or `gone` (its keys have expired).
    """

    id: str
    priority: Priority
    state: str
    sequence: int = 0
    says_pending: bool = True
    has_data: bool = True
    attempts: int = 0
    attempts_before: int = 0
    failures: int = 0
    alone: bool = False
    token: str = ""
    deadline: float = 0.0
    due: float = 0.0
    submitted_at: float = 0.0
    started_at: float = 0.0
    version: str = ""
    lost_versions: dict[str, str] = field(default_factory=dict)
    """By the token of attempts that were taken from their workers: what these ran with."""
    ended_at: float = 0.0
    failed: bool = False
    kind: ErrorKind | None = None
    result: bytes | None = None
    outside: Status | None = None
    """What an outside worker wrote as its status, until a script has taken notice."""
    closed_for_outside: bool = False

    @property
    def status(self) -> Status:
        if self.outside is not None:
            return self.outside
        if self.state == "leased":
            return Status.PROCESSING
        if self.state == "ended":
            return Status.FAILED if self.failed else Status.COMPLETED
        return Status.PENDING


@dataclass
class Reference:
    """The queue of one model."""

    now: float = 0.0
    sequence: int = 0
    jobs: dict[str, Record] = field(default_factory=dict)
    lists: dict[Priority, list[str]] = field(default_factory=lambda: {priority: [] for priority in Priority})
    popped: dict[str, float] = field(default_factory=dict)
    claims: dict[str, list[str]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    submitted: Counter[Priority] = field(default_factory=Counter)
    runs: int = 0
    ends_of_workers: int = 0
    lost: set[tuple[str, str]] = field(default_factory=set)
    """Job and token of attempts that were taken from their workers, which have not reported them since."""

    def submit(self, job_id: str, priority: Priority) -> None:
        self.sequence += 1
        self.jobs[job_id] = Record(job_id, priority, "queued", self.sequence, submitted_at=self.now)
        self._count_new(priority)
        self.lists[priority].insert(0, job_id)

    def push(self, job_id: str, priority: Priority, *, says_pending: bool) -> None:
        self.jobs[job_id] = Record(
            job_id, priority, "foreign", says_pending=says_pending, submitted_at=self.now
        )
        self.lists[priority].insert(0, job_id)

    def pop(self) -> tuple[str, Priority] | None:
        for priority, waiting in self.lists.items():
            if waiting:
                job_id = waiting.pop()
                self.popped[job_id] = self.now
                return job_id, priority
        return None

    @property
    def is_plain(self) -> bool:
        """Whether every job that may run waits in its list, and each list is in the order of submission."""
        for priority, waiting in self.lists.items():
            sequences = [self.jobs[job_id].sequence for job_id in waiting]
            queued = {job.id for job in self.open_in(priority) if job.state == "queued"}
            if sequences != sorted(sequences, reverse=True) or not all(sequences) or queued != set(waiting):
                return False
        return True

    def claim(
        self, limit: int, token: str, popped: tuple[str, Priority] | None = None, version: str = ""
    ) -> list[tuple[str, int]]:
        claimed: list[str] = []
        goes_on = True
        if popped is not None:
            self.popped.pop(popped[0], None)
            goes_on = self._claim(*popped, token, version, claimed)
        for priority, waiting in self.lists.items():
            while goes_on and waiting and len(claimed) < limit:
                goes_on = self._claim(waiting.pop(), priority, token, version, claimed)
        if claimed:
            self.claims[token] = claimed
        return self.claimed_with(token)

    def claimed_with(self, token: str) -> list[tuple[str, int]]:
        """What a claim with this token answers, the first time and again."""
        held = (self.jobs[job_id] for job_id in self.claims.get(token, []))
        return [(job.id, job.attempts) for job in held if job.state == "leased" and job.token == token]

    def _claim(self, job_id: str, priority: Priority, token: str, version: str, claimed: list[str]) -> bool:
        job = self.jobs[job_id]
        if job.outside is not None and job.outside.is_final:
            self.reconcile_outside(job)
            return True
        if job.state in ("foreign", "gone"):
            has_data = job.state == "foreign" and job.has_data
            self._count_pushed(priority)
            self.lost = {(lost_id, token) for lost_id, token in self.lost if lost_id != job_id}
            job = self.jobs[job_id] = Record(
                job_id, priority, "queued", has_data=has_data, submitted_at=self.now
            )
        if job.state != "queued":
            return True
        if job.alone and claimed:
            self.lists[job.priority].append(job_id)
            return False
        if not job.has_data or self.now - job.submitted_at > JOB_TTL:
            self._end(job, ErrorKind.EXPIRED)
            return True
        job.state, job.token, job.version, job.outside = "leased", token, version, None
        job.attempts += 1
        job.started_at, job.deadline = self.now, self.now + LEASE
        claimed.append(job_id)
        return not job.alone

    def complete(self, job_id: str, token: str, result: bytes) -> str:
        job = self.jobs[job_id]
        in_time = self._holds(job, token)
        if self.reconcile_outside(job) or not self._is_open(job):
            return self._find_stale(job, token, was_held=in_time)
        self._take_out(job)
        if not in_time:
            job.version = job.lost_versions.get(token, job.version)
        self._end(job, None, result)
        self.runs += 1
        self.ends_of_workers += 1
        self.lost.discard((job_id, token))
        self.counts["late"] += not in_time
        return "completed" if in_time else "late"

    def fail(self, job_id: str, token: str, kind: ErrorKind, attempt: int) -> str:
        job = self.jobs[job_id]
        was_held = self._holds(job, token)
        if self.reconcile_outside(job) or not was_held:
            return self._find_stale(job, token, was_held=was_held)
        job.failures += 1
        self.runs += 1
        if kind in RETRIED_KINDS and job.failures < MAX_ATTEMPTS:
            job.state, job.token, job.due = "retrying", "", self.now + backoff(attempt)
            self.counts["retries"] += 1
            return "retrying"
        self._end(job, kind)
        self.ends_of_workers += 1
        return "failed"

    def release(self, job_id: str, token: str) -> str:
        job = self.jobs[job_id]
        if self.reconcile_outside(job) or not self._holds(job, token):
            return "stale"
        job.state, job.token = "queued", ""
        job.attempts -= 1
        self.lists[job.priority].append(job_id)
        return "requeued"

    def renew(self, job_id: str, token: str, longest: float) -> str:
        job = self.jobs[job_id]
        if job.state == "ended" and job.kind is ErrorKind.CANCELLED:
            return "cancelled"
        if not self._holds(job, token):
            return "lost"
        if self.now - job.started_at > longest:
            return "overdue"
        for other in self.jobs.values():
            if self._holds(other, token):
                other.deadline = self.now + LEASE
        return "renewed"

    def cancel(self, job_id: str) -> Status | None:
        """What the job was; None where it cannot be cancelled."""
        job = self.jobs[job_id]
        if self.reconcile_outside(job) or not self._is_open(job):
            return None
        was = Status.PROCESSING if job.state == "leased" else Status.PENDING
        if job.state == "leased":
            self._lose(job)
        self._take_out(job)
        self._end(job, ErrorKind.CANCELLED)
        return was

    def _lose(self, job: Record) -> None:
        self.lost.add((job.id, job.token))
        job.lost_versions[job.token] = job.version

    def _take_out(self, job: Record) -> None:
        """Takes a job out of the list that it waits in, if it does."""
        waiting = self.lists[job.priority]
        if job.state == "queued" and job.id in waiting:
            del waiting[len(waiting) - 1 - waiting[::-1].index(job.id)]

    def cancel_waiting(self) -> int:
        """Ends what waits, and takes what has ended out of the lists; returns how many have been ended."""
        count = 0
        for priority in Priority:
            for job in sorted(self.open_in(priority), key=lambda job: (job.sequence, job.id)):
                if job.status is Status.PENDING:
                    self.cancel(job.id)
                    count += 1
                elif job.state != "leased":
                    self.reconcile_outside(job)
            for job_id in reversed(self.lists[priority]):
                job = self.jobs[job_id]
                if job.state == "foreign" and job.has_data and job.status is Status.PENDING:
                    job.state = "queued"
                    self._count_pushed(priority)
                    self._end(job, ErrorKind.CANCELLED)
                    count += 1
            waiting = self.lists[priority]
            self.lists[priority] = [job_id for job_id in waiting if self.jobs[job_id].state != "ended"]
        return count

    def claim_outside(self, *, says_processing: bool) -> str | None:
        """An outside worker pops a job."""
        popped = self.pop()
        if popped is None:
            return None
        job = self.jobs[popped[0]]
        if says_processing and job.state in ("foreign", "queued") and job.outside is None:
            job.outside = Status.PROCESSING
        return job.id

    def end_outside(self, job_id: str, status: Status, result: bytes) -> None:
        """An outside worker writes its result and status."""
        job = self.jobs[job_id]
        job.outside, job.result = status, result

    def retry(self, job_id: str) -> bool:
        job = self.jobs[job_id]
        if job.state != "ended" or job.status is not Status.FAILED or not job.has_data:
            return False
        self.sequence += 1
        self.counts["retried"] += 1
        job.state, job.sequence, job.submitted_at = "queued", self.sequence, self.now
        job.failures, job.alone, job.token, job.kind = 0, False, "", None
        job.failed = job.closed_for_outside = False
        job.attempts_before = job.attempts
        self.lists[job.priority].insert(0, job_id)
        return True

    def reclaim_lapsed(self) -> tuple[list[Record], int]:
        """The jobs whose leases ran out and that wait again, in the order of their lists; how many failed."""
        lapsed = [job for job in self.jobs.values() if job.state == "leased" and job.deadline <= self.now]
        back, failed = [], 0
        self.counts["leases_lapsed"] += len({job.token for job in lapsed})
        for job in lapsed:
            if self.reconcile_outside(job):
                continue
            self._lose(job)
            if job.alone:
                job.failures += 1
            if job.failures >= MAX_ATTEMPTS:
                self._end(job, ErrorKind.CRASHED)
                failed += 1
                continue
            job.state, job.token, job.alone = "queued", "", True
            back.append(job)
        self.counts["recovered"] += len(back)
        return sorted(back, key=lambda job: -job.sequence), failed

    def requeue_due(self) -> list[Record]:
        due = [job for job in self.jobs.values() if job.state == "retrying" and job.due <= self.now]
        for job in due:
            job.state = "queued"
        return due

    def accept_lists(self, seen: dict[Priority, list[str]], lapsed: list[Record], due: list[Record]) -> int:
        """Takes over the lists seen after a recovery pass, if that pass may have left them so.

        Returns:
            How many jobs were requeued that had been popped and never claimed.
        """
        found = 0
        for priority, waiting in self.lists.items():
            before, pushed = seen[priority][: len(waiting)], seen[priority][len(waiting) :]
            assert before == waiting, "recovery moved jobs that waited"
            back = [job for job in lapsed if job.priority is priority]
            again = {job.id for job in due if job.priority is priority}
            first, second = pushed[: len(back)], pushed[len(back) : len(back) + len(again)]
            missing = pushed[len(back) + len(again) :]
            assert Counter(first) == Counter(job.id for job in back), "lapsed jobs are next"
            ours = [self.jobs[job_id].sequence for job_id in first if self.jobs[job_id].sequence]
            assert ours == sorted(ours, reverse=True), "of lapsed jobs the oldest is next"
            assert set(second) == again, "due retries are queued"
            for job_id in missing:
                assert job_id in self.popped, "only popped jobs are requeued"
                assert self.jobs[job_id].state == "queued"
                assert self.now - self.popped[job_id] >= GRACE, "and only after the grace period"
            found += len(missing)
            self.counts["recovered"] += len(missing)
            self.lists[priority] = seen[priority]
        return found

    def expire_waiting(self) -> int:
        """Fails the jobs that waited too long; returns how many."""
        count = 0
        for priority in Priority:
            for job in sorted(self.open_in(priority), key=lambda job: (job.sequence, job.id)):
                if job.state == "leased":
                    continue
                if self.now - job.submitted_at <= JOB_TTL:
                    break
                if self.reconcile_outside(job):
                    continue
                self._end(job, ErrorKind.EXPIRED)
                count += 1
        return count

    def reconcile_outside(self, job: Record) -> bool:
        """Closes a job that an outside worker ended; whether it had."""
        if job.outside is None or not job.outside.is_final:
            return False
        if self._is_open(job):
            self._end(job, None, job.result, failed=job.outside is Status.FAILED)
            job.closed_for_outside = True
        return True

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for job in self.jobs.values():
            if job.state == "ended" and self.now - job.ended_at >= RESULT_TTL:
                job.state, job.result, job.kind, job.failed = "gone", None, None, False

    def open_in(self, priority: Priority) -> list[Record]:
        return [job for job in self.jobs.values() if self._is_open(job) and job.priority is priority]

    def _count_new(self, priority: Priority) -> None:
        self.submitted[priority] += 1
        if priority is not Priority.NORMAL:
            self.counts[f"submitted|{priority}"] += 1

    def _count_pushed(self, priority: Priority) -> None:
        self.counts["pushed"] += 1
        self._count_new(priority)

    def _find_stale(self, job: Record, token: str, *, was_held: bool) -> str:
        if was_held or ((job.id, token) in self.lost and job.state != "gone"):
            self.counts["stale"] += 1
            self.lost.discard((job.id, token))
        return "stale"

    def _is_open(self, job: Record) -> bool:
        return job.state in ("queued", "leased", "retrying")

    def _holds(self, job: Record, token: str) -> bool:
        return job.state == "leased" and job.token == token

    def _end(
        self, job: Record, kind: ErrorKind | None, result: bytes | None = None, *, failed: bool = False
    ) -> None:
        assert self._is_open(job), "a job ends once"
        job.state, job.kind, job.result, job.ended_at = "ended", kind, result, self.now
        job.failed = failed or kind is not None
        self.counts[f"failed|{kind or 'outside'}" if job.failed else "completed"] += 1
        job.has_data = job.has_data and job.failed
        job.outside, job.token = None, ""
        self.events.append(f"{job.id}:{job.status}")
