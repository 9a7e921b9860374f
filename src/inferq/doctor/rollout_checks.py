"""What is wrong with versions of models: what operators say of them, and what workers serve."""

from collections.abc import Iterator, Mapping, Sequence

from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.jobs import WorkerInfo
from inferq.model_names import QueueName
from inferq.rollout import Rollout

_CHECK = "rollouts"


def list_versions(workers: Sequence[WorkerInfo]) -> dict[str, dict[str, int]]:
    """Returns how many live workers serve each version of each model, by model and version."""
    served: dict[str, dict[str, int]] = {}
    for worker in workers:
        for model, versions in _list_own_versions(worker).items():
            counts = served.setdefault(model, {})
            counts.update({version: counts.get(version, 0) + 1 for version in versions})
    return served


def check_rollouts(rollouts: Mapping[str, Rollout], workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    """Finds rollouts of versions that nobody serves.

    Args:
        rollouts: Model to its rollout, of those that a command has set.
        workers: The live workers.
    """
    served = list_versions(workers)
    for model, rollout in sorted(rollouts.items()):
        versions = served.get(model, {})
        if rollout.is_unloaded:
            yield ok(_CHECK, f"{model} is unloaded, as a command has said.")
        elif workers:
            yield from _check_rollout(model, rollout, versions)


def _check_rollout(model: str, rollout: Rollout, versions: Mapping[str, int]) -> Iterator[Finding]:
    there = f"Live workers have {', '.join(sorted(versions)) or 'none of its versions'}."
    is_well = True
    if rollout.serve is not None and rollout.serve not in versions:
        is_well = False
        yield fail(
            _CHECK,
            f"{model} is to be served in version {rollout.serve}, which no live worker has. {there}",
            f"Add that version and run inferq models reload {model}, or inferq models promote another one.",
        )
    for what, shares in (("a share of the jobs", rollout.shares), ("a shadow", rollout.shadow)):
        for version in sorted(shares.keys() - versions.keys()):
            is_well = False
            yield warn(
                _CHECK,
                f"{model} has {what} for version {version}, which no live worker has. {there}",
                f"Add that version and run inferq models reload {model}, or remove it from the rollout: "
                f"inferq models rollout {model}.",
            )
    if is_well:
        yield ok(_CHECK, f"All versions that the rollout of {model} names are served.")


def check_versions(workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    """Finds versions, in folders of their own, that only some of a model's workers serve."""
    named = {text for worker in workers for text in worker.models}
    owned = [_list_own_versions(worker) for worker in workers]
    for model, versions in sorted(list_versions(workers).items()):
        most = sum(model in own for own in owned)
        for version, count in sorted(versions.items()):
            if count < most and f"{model}@{version}" in named:
                yield warn(
                    "models",
                    f"{model}@{version} is served by {count} of the {most} workers that serve {model}.",
                    f"Give all the same repository, and run inferq models reload {model}.",
                )


def check_generation(generation: int, workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    """Finds workers that have not read the repository and the rollouts since they last changed.

    Args:
        generation: That of the last change, or order to reload.
        workers: The live workers.
    """
    for worker in workers:
        if worker.repository_generation is not None and worker.repository_generation < generation:
            yield warn(
                _CHECK,
                f"{worker.id} has not followed the last change of versions yet.",
                "Wait while it loads models; if that goes on, read its log.",
            )


def _list_own_versions(worker: WorkerInfo) -> dict[str, set[str]]:
    """Returns the versions of each model that a worker serves."""
    versions: dict[str, set[str]] = {}
    for text in worker.models:
        name = QueueName.parse(text)
        if name is not None:
            versions.setdefault(name.model, set()).add(name.version or worker.model_versions.get(text, ""))
    return versions
