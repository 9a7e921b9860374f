"""Which models this worker serves at this moment, by the names of their queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from inferq.jobs import ClaimedJob
from inferq.model_names import QueueName
from inferq.models.model import Model
from inferq.models.repository.repository_scan import ModelFolder
from inferq.rollout import Rollout
from inferq.tensors.signature import ModelDocument
from inferq.worker.runs.batch_planner import BatchPlanner


class NotServedError(LookupError):
    """Jobs were claimed of a queue that this worker does not serve any more."""


@dataclass(frozen=True)
class ServedVersion:
    """One version of a model.

    Attributes:
        model: The model, warmed up.
        planner: Plans its batches.
        folder: Where it was loaded from.
        stamp: That of its files, as they were read.
        is_for_chunks: Whether its jobs are chunks of large jobs.
    """

    model: Model
    planner: BatchPlanner
    folder: ModelFolder
    stamp: str = ""
    is_for_chunks: bool = False

    @property
    def document(self) -> ModelDocument:
        """What the model announces, but for its other versions and its rollout."""
        return self.model.document

    @cached_property
    def provenance(self) -> str:
        """The `Provenance` that the records of its jobs show, as text."""
        return str(self.document.provenance)


@dataclass(frozen=True, slots=True)
class ServedTable:
    """What is served at one moment.

    Attributes:
        versions: Name of each queue to claim from to the version that runs its jobs.
        documents: Name of each queue that is announced to the JSON of its document. One that is served and
            not announced is drained.
        left_out: Name to reason of the models that cannot be served.
        rollouts: Name of each model that has folders of versions to its rollout, as it is applied.
        generation: As of which the repository and the rollouts were read; see `Consumer.heartbeat`.
    """

    versions: Mapping[str, ServedVersion] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    generation: int | None = None

    def find(self, queue: str) -> ServedVersion:
        """Returns the version that runs the jobs of a queue.

        Raises:
            NotServedError: There is none.
        """
        try:
            return self.versions[queue]
        except KeyError as error:
            raise NotServedError(queue) from error

    def split(self, jobs: Sequence[ClaimedJob]) -> list[tuple[ServedVersion, Sequence[ClaimedJob]]]:
        """Returns the jobs of a claim with the version that each is to run on.

        Args:
            jobs: Jobs of one queue, at least one.

        Raises:
            NotServedError: Their queue is not served any more.
        """
        queue = jobs[0].model
        serving, rollout = self.find(queue), self.rollouts.get(queue)
        if rollout is None or not rollout.shares:
            return [(serving, jobs)]
        parts: dict[str | None, list[ClaimedJob]] = {}
        for job in jobs:
            parts.setdefault(rollout.choose_version(job.id), []).append(job)
        return [
            (self.find(str(QueueName(queue, one))) if one else serving, part) for one, part in parts.items()
        ]

    def list_runners(self, queue: str) -> list[ServedVersion]:
        """Returns the versions on which jobs of a queue may run."""
        rollout = self.rollouts.get(queue)
        shares = rollout.shares if rollout else ()
        names = (queue, *(f"{queue}@{version}" for version in shares))
        return [self.versions[name] for name in names if name in self.versions]

    def name_provenances(self) -> dict[str, str]:
        """Returns what claims of each queue note in the records of its jobs."""
        return {queue: version.provenance for queue, version in self.versions.items()}

    def name_versions(self) -> dict[str, str]:
        """Returns the version of each queue that is announced."""
        return {queue: self.versions[queue].document.version for queue in self.documents}


class ServedModels:
    """The table of this process, replaced as a whole, by any thread. A run under way keeps its model.

    Args:
        table: What is served at first.

    Attributes:
        table: What is served now.
    """

    def __init__(self, table: ServedTable) -> None:
        self.table = table
