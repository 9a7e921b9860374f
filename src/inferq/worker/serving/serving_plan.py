"""Which version of each model runs the jobs of which queue: what rollouts say, as far as that can be done."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import structlog

from inferq.errors import InvalidModelError
from inferq.model_names import QueueName
from inferq.models.config import read_config
from inferq.models.repository.repository_scan import ModelFolder
from inferq.rollout import Rollout
from inferq.tensors.signature import ModelDocument
from inferq.terminal import make_printable
from inferq.worker.large_jobs.chunk_queues import add_chunk_queues
from inferq.worker.serving.served_models import ServedTable, ServedVersion

log = structlog.get_logger()


def plan_serving(
    folders: Sequence[ModelFolder],
    elsewhere: Collection[str],
    loaded: Mapping[str, ServedVersion],
    left_out: Mapping[str, str],
    rollouts: Mapping[str, Rollout],
    before: ServedTable,
) -> ServedTable:
    """Returns what a worker is to serve.

    Args:
        folders: All folders of the repository.
        elsewhere: Names of what this worker is not to serve, and others do.
        loaded: The versions that are ready, by name: `iris`, or `iris@2` where there are folders of versions.
        left_out: Name to reason of those that cannot be served.
        rollouts: What is said of the versions of a model, by its name.
        before: What was served until now.
    """
    versions: dict[str, ServedVersion] = {}
    documents: dict[str, bytes] = {}
    applied: dict[str, Rollout] = {}
    reasons = dict(left_out)
    for model, group in groupby(folders, key=attrgetter("model")):
        rollout = rollouts.get(model)
        if rollout is not None and rollout.is_unloaded:
            continue
        own = [folder for folder in group if folder.name in loaded or folder.name in elsewhere]
        ready = {folder.version: loaded[folder.name] for folder in own if folder.name in loaded}
        if "" in ready:
            versions[model] = ready[""]
            documents[model] = _write_document(ready[""].document, [ready[""].document.version], rollout)
            continue
        for version, served in ready.items():
            queue = str(QueueName(model, version))
            versions[queue] = served
            documents[queue] = _write_document(served.document, list(ready))
        serving = _choose_serving(model, [folder.version for folder in own], rollout, before)
        if rollout is not None and rollout.serve not in (None, serving):
            reasons[model] = (
                f"Version {rollout.serve} is to serve, and cannot; {serving or 'none'} does. Add that "
                "version, or name another one in the rollout."
            )
        if serving in ready:
            applied[model] = _apply(model, rollout or Rollout(), serving, ready)
            versions[model] = ready[serving]
            for version in applied[model].shadow:
                versions[str(QueueName(model, version, "shadow"))] = ready[version]
            documents[model] = _write_document(ready[serving].document, list(ready), applied[model])
        elif not ready and (failed := [name for name in left_out if name.startswith(f"{model}@")]):
            reasons[model] = " ".join(f"{name}: {left_out[name]}" for name in failed)
    return ServedTable(add_chunk_queues(versions), documents, reasons, applied)


def read_rollouts(
    folders: Iterable[ModelFolder], before: Mapping[str, Rollout]
) -> tuple[dict[str, Rollout], dict[str, str]]:
    """Returns what the `model.toml` of each model says of its versions; and why, where it cannot be read.

    Args:
        folders: All folders of the repository.
        before: What was said until now, which holds for a model whose `model.toml` cannot be read.
    """
    rollouts, problems = dict[str, Rollout](), dict[str, str]()
    for model, group in groupby(folders, key=attrgetter("model")):
        folder = next(group)
        path = folder.path.parent if folder.version else folder.path
        try:
            rollout = read_config(path / "model.toml").rollout
        except InvalidModelError as error:
            rollout = before.get(model)
            problems[model] = f"{make_printable(error.message)} What it said of versions before holds."
        if rollout is not None:
            rollouts[model] = rollout
    return rollouts, problems


def _write_document(document: ModelDocument, versions: list[str], rollout: Rollout | None = None) -> bytes:
    return document.model_copy(update={"versions": versions, "rollout": rollout}).to_json()


def _choose_serving(
    model: str, versions: Sequence[str], rollout: Rollout | None, before: ServedTable
) -> str | None:
    """Returns the version that jobs run on which name none; None where there is none.

    Args:
        model: Name of the model.
        versions: Its versions, but for those that cannot be served or are not loaded yet, the newest last.
        rollout: What is said of them.
        before: What was served until now.
    """
    wanted = rollout.serve if rollout else None
    if wanted is None or wanted in versions:
        return wanted or (versions[-1] if versions else None)
    previous = before.versions.get(model)
    instead = previous.document.version if previous else None
    serving = instead if instead in versions else versions[-1] if versions else None
    log.warning(
        "rollout_not_followed", model=model, version=wanted, reason="it cannot be served", instead=serving
    )
    return serving


def _apply(model: str, rollout: Rollout, serving: str, ready: Mapping[str, ServedVersion]) -> Rollout:
    """Returns a rollout without the shares that cannot be given."""

    def find_shares(shares: Mapping[str, float]) -> Iterator[tuple[str, float]]:
        for version, share in shares.items():
            reason = _find_obstacle(ready[serving], ready.get(version))
            if reason is None:
                yield version, share
            else:
                log.warning(
                    "rollout_not_followed", model=model, version=version, reason=reason, instead=serving
                )

    shares, shadow = dict(find_shares(rollout.shares)), dict(find_shares(rollout.shadow))
    return rollout.model_copy(update={"serve": serving, "shares": shares, "shadow": shadow})


def _find_obstacle(serving: ServedVersion, other: ServedVersion | None) -> str | None:
    """Returns why a version cannot take jobs that were meant for the one that serves; None where it can."""
    if other is None:
        return "it cannot be served"
    if _describe_inputs(serving.document) != _describe_inputs(other.document):
        return "its inputs are not those of the version that serves"
    return None


def _describe_inputs(document: ModelDocument) -> tuple[object, ...]:
    """Returns what must be the same where jobs of one version are to run on another."""
    inputs, optional = (
        {tensor.name: tensor for tensor in tensors} for tensors in (document.inputs, document.optional_inputs)
    )
    media = (document.image and document.image.input, document.audio and document.audio.input)
    return (inputs, optional, *media)
