"""The names of all keys in Redis. No other file spells one."""

import re
from dataclasses import dataclass

from inferq.jobs import Priority

PROGRESS = "progress"
"""Part of a large job: how far it is; and what `events` tells of a change of it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds key names.

    Args:
        prefix: Goes before every key; on Redis Cluster a hash tag such as `{inferq}:`.
    """

    prefix: str = ""

    def job(self, job_id: str, part: str) -> str:
        """The key of one part of a job, such as data, status, result or error."""
        return f"{self.prefix}job:{job_id}:{part}"

    @property
    def any_status(self) -> str:
        """The pattern of SCAN that the status of every job matches, and no key with another prefix."""
        return f"{self._pattern}job:*:status"

    @property
    def any_queue(self) -> str:
        """The same of the lists of every model, and of their other keys."""
        return f"{self._pattern}queue:*"

    @property
    def _pattern(self) -> str:
        return re.sub(r"[*?\[\]\\]", r"\\\g<0>", self.prefix)

    def staged_result(self, job_id: str, token: str) -> str:
        """Where a large result waits until the finish script takes or drops it."""
        return f"{self.prefix}job:{job_id}:result:{token}"

    def queue(self, model: str) -> str:
        """A model's normal list, and the stem of its other keys."""
        return f"{self.prefix}queue:{model}"

    def list(self, model: str, priority: Priority) -> str:
        """The list that jobs of a priority wait in."""
        queue = self.queue(model)
        return queue if priority is Priority.NORMAL else f"{queue}:{priority}"

    def open(self, model: str, priority: Priority) -> str:
        """Jobs of a model and a priority that have not ended, by sequence number."""
        return f"{self.queue(model)}:open:{priority}"

    def sequence(self, model: str) -> str:
        """The sequence number of the job of a model that was submitted last."""
        return f"{self.queue(model)}:sequence"

    def counts(self, model: str) -> str:
        """How many jobs of a model were pushed from outside, retried, and ended, by how they ended."""
        return f"{self.queue(model)}:counts"

    def leases(self, model: str) -> str:
        """Tokens of the claims whose jobs run, by the deadline of their lease."""
        return f"{self.queue(model)}:leases"

    def deadlines(self, model: str) -> str:
        """Jobs of a model that must have started by a time, by that time."""
        return f"{self.queue(model)}:deadlines"

    def completed(self, model: str) -> str:
        """Completed jobs of a model by the time they ended, several in an entry."""
        return f"{self.queue(model)}:completed"

    def dead(self, model: str) -> str:
        """Failed jobs of a model by the time they ended."""
        return f"{self.queue(model)}:dead"

    def comparisons(self, queue_name: str) -> str:
        """What has come of the comparisons that the shadow jobs of this queue have made."""
        return f"{self.queue(queue_name)}:comparisons"

    def differing(self, queue_name: str) -> str:
        """The latest of these jobs whose results differ."""
        return f"{self.queue(queue_name)}:differing"

    def run_times(self, queue_name: str) -> str:
        """How long the runs of the compared jobs took, on either version."""
        return f"{self.queue(queue_name)}:run-times"

    def pop(self, token: str) -> str:
        """There while a claim behind a BRPOP may trust that this has popped something."""
        return f"{self.prefix}pop:{token}"

    def idempotency(self, digest: str) -> str:
        """What is remembered of an `Idempotency-Key`."""
        return f"{self.prefix}idempotency:{digest}"

    @property
    def scan_cursor(self) -> str:
        """Where the slow scan for lost jobs of outside producers goes on."""
        return f"{self.prefix}scan:cursor"

    @property
    def scan_step(self) -> str:
        """The worker that sets it makes the scan's next step."""
        return f"{self.prefix}scan:step"

    @property
    def blobs_step(self) -> str:
        """The worker that sets it makes the next step of the sweep through the blob store."""
        return f"{self.prefix}blobs:step"

    @property
    def blobs_cursor(self) -> str:
        """Where the sweep goes on, and the blobs and bytes that it has met."""
        return f"{self.prefix}blobs:cursor"

    @property
    def blobs_usage(self) -> str:
        """How many blobs and bytes the latest sweep has found."""
        return f"{self.prefix}blobs:usage"

    @property
    def blobs_queue(self) -> str:
        """The id of this queue, by which a blob store knows whose it is."""
        return f"{self.prefix}blobs:queue"

    def worker(self, worker_id: str) -> str:
        """The hash of a live worker."""
        return f"{self.prefix}worker:{worker_id}"

    def loading(self, host: str) -> str:
        """What each worker process of a host is loading, by process id."""
        return f"{self.prefix}loading:{host}"

    def loaded(self, stamp: str) -> str:
        """There while a worker has loaded the model in a folder with this stamp of late."""
        return f"{self.prefix}loaded:{stamp}"

    def load_turn(self, stamp: str) -> str:
        """There while a worker has another process load the model in a folder with this stamp."""
        return f"{self.prefix}load-turn:{stamp}"

    def unloadable(self, stamp: str) -> str:
        """Why the model in a folder with this stamp must not be loaded."""
        return f"{self.prefix}unloadable:{stamp}"

    @property
    def workers(self) -> str:
        """Worker ids by their last heartbeat."""
        return f"{self.prefix}workers"

    @property
    def workers_seen(self) -> str:
        """The last heartbeat of any worker."""
        return f"{self.prefix}workers:seen"

    @property
    def webhooks(self) -> str:
        """Ended jobs whose end is to be reported, by due time."""
        return f"{self.prefix}webhooks"

    def ticket(self, digest: str) -> str:
        """Name of the API key that a ticket for a stream stands for, by the ticket's SHA-256 in hex."""
        return f"{self.prefix}ticket:{digest}"

    @property
    def records(self) -> str:
        """Job id to its record."""
        return f"{self.prefix}jobs:records"

    @property
    def shard_number(self) -> str:
        """Which shard this is, where there are several."""
        return f"{self.prefix}shard"

    @property
    def guard(self) -> str:
        """A key that never exists, of the form of a model's list.

        On a Redis Cluster scripts and blocking reads name it with their keys. A node that is giving our slot
        to another refuses what names a key that it does not have, so it refuses all of them, whole.
        """
        return f"{self.prefix}queue::guard"

    @property
    def probe(self) -> str:
        """Written and removed at once, by which is seen whether the server takes writes."""
        return f"{self.prefix}probe"

    @property
    def queues(self) -> str:
        """Models of which jobs are kept."""
        return f"{self.prefix}jobs:queues"

    @property
    def split_jobs(self) -> str:
        """Large jobs that are divided into chunks, each to its plan."""
        return f"{self.prefix}jobs:split"

    @property
    def split_step(self) -> str:
        """The worker that sets it removes the chunks of those that have ended."""
        return f"{self.prefix}jobs:split:step"

    @property
    def models(self) -> str:
        """Model name to document."""
        return f"{self.prefix}models"

    @property
    def rollouts(self) -> str:
        """Model name to the rollout that operators have set."""
        return f"{self.prefix}models:rollouts"

    @property
    def generation(self) -> str:
        """A number that grows when workers have to read the repository, and the rollouts, again."""
        return f"{self.prefix}models:generation"

    @property
    def events(self) -> str:
        """The channel that tells changes of status."""
        return f"{self.prefix}events"
