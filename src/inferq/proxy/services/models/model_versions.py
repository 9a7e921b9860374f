"""The versions of a model, and what may be said of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from inferq.errors import NoWorkerError, RolloutStateError, UnknownModelError
from inferq.jobs import WorkerInfo
from inferq.model_names import VERSION_MARK, QueueName, order_version
from inferq.proxy.http.schemas.rollout_schemas import RolloutRequest
from inferq.proxy.services.models.known_models import KnownModels
from inferq.rollout import Rollout
from inferq.tensors.signature import ModelDocument

type Change = Callable[[Rollout | None], Rollout | None]
"""Makes the new rollout of the present one; None stands for none."""


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """What is known of the versions of one model at one moment.

    Attributes:
        name: Name of the model.
        serving: The document of the version that serves; None where none does.
        documents: Version to document, of those that are announced; none of a model without versions.
        served: Those of them that live workers serve.
    """

    name: str
    serving: ModelDocument | None
    documents: dict[str, ModelDocument]
    served: frozenset[str]

    @classmethod
    def find(cls, known: KnownModels, name: str) -> "ModelVersions":
        """Finds them; there may be none.

        Raises:
            UnknownModelError: This is no name of a model.
            RedisUnavailableError: Nothing is known.
        """
        asked = QueueName.parse(name)
        if asked is not None and asked.model != name:
            raise UnknownModelError(
                f"{name!r} is no model, but a part of one. Name the model: {asked.model!r}."
            )
        known.check_readable()
        start = f"{name}{VERSION_MARK}"
        documents = {
            queue.removeprefix(start): model.document
            for queue, model in known.announced.items()
            if queue.startswith(start)
        }
        serving = known.announced.get(name)
        served = {one for one in documents if known.served is None or f"{start}{one}" in known.served}
        return cls(name, serving.document if serving else None, documents, frozenset(served))

    @property
    def versions(self) -> list[str]:
        """The versions of the model in their order."""
        if self.documents:
            return sorted(self.documents, key=order_version)
        return [self.serving.version] if self.serving else []

    @property
    def serving_version(self) -> str | None:
        """The version that serves; None where none does."""
        return self.serving.version if self.serving else None

    @property
    def applied(self) -> Rollout | None:
        """What workers follow; None where nothing is said."""
        return self.serving.rollout if self.serving else None

    def replace(self, asked: RolloutRequest) -> Change:
        """Returns the change to a rollout that a request tells whole.

        Raises:
            RolloutStateError: The model has no versions.
            UnknownModelError: A version is not there.
            NoWorkerError: No live worker serves it.
        """
        self._check_served(filter(None, (asked.serve, *asked.shares, *asked.shadow)))
        members = asked.model_dump()

        def change(present: Rollout | None) -> Rollout:
            base = present or Rollout()
            previous = base.previous if asked.serve is None else self._choose_previous(base, asked.serve)
            return base.model_copy(update={**members, "previous": previous})

        return change

    def promote(self, version: str) -> Change:
        """Returns the change by which a version serves. Repeated, it changes nothing.

        Raises:
            InferqError: As `replace` does.
        """
        self._check_served([version])

        def change(present: Rollout | None) -> Rollout:
            return self._serve(self._choose_base(present), version)

        return change

    def roll_back(self) -> Change:
        """Returns the change by which the version serves that did before the latest promotion.

        It raises itself: RolloutStateError where there was none, and what `replace` raises where that version
        is not there any more.
        """

        def change(present: Rollout | None) -> Rollout:
            base = self._choose_base(present)
            if base.previous is None:
                raise RolloutStateError(
                    f"No version of model {self.name!r} has served before. Promote the one that is to serve; "
                    f"known: {', '.join(self.versions)}."
                )
            self._check_served([base.previous])
            # none before it: a repeated request must not undo what it has done
            return self._serve(base, base.previous).model_copy(update={"previous": None})

        return change

    def _choose_base(self, present: Rollout | None) -> Rollout:
        """Returns what is changed: what was set replaces model.toml as a whole, so that begins with it."""
        return present or self.applied or Rollout()

    def _serve(self, base: Rollout, version: str) -> Rollout:
        return base.model_copy(
            update={
                "serve": version,
                "previous": self._choose_previous(base, version),
                "shares": {one: share for one, share in base.shares.items() if one != version},
                "shadow": {one: share for one, share in base.shadow.items() if one != version},
            }
        )

    def _choose_previous(self, base: Rollout, version: str) -> str | None:
        """Returns to which version to roll back if this one serves now."""
        # what was said last counts: that it serves may not have come to this proxy yet
        before = base.serve if base.serve in self.documents else self.serving_version
        return base.previous if version == before else before

    def _check_served(self, versions: Iterable[str]) -> None:
        if not self.documents:
            raise RolloutStateError(
                f"Model {self.name!r} has no versions. Put each into a folder of its own, as "
                f"{self.name}/1/model.onnx and {self.name}/2/model.onnx."
            )
        for version in versions:
            if version not in self.documents:
                raise UnknownModelError(
                    f"Model {self.name!r} has no version {version!r}. Known: {', '.join(self.versions)}. A "
                    f"new one is known once workers have loaded it: POST /models/{self.name}/reload."
                )
            if version not in self.served:
                raise NoWorkerError(
                    f"No live worker serves version {version!r} of model {self.name!r} now. Start one, or "
                    "try again."
                )


def unload(present: Rollout | None) -> Rollout:
    """The change by which workers serve a model no more."""
    return (present or Rollout()).model_copy(update={"is_unloaded": True})


def load(present: Rollout | None) -> Rollout | None:
    """The change by which workers serve it again, as before it was unloaded."""
    loaded = (present or Rollout()).model_copy(update={"is_unloaded": False})
    return None if loaded == Rollout() else loaded


def remove(_present: Rollout | None) -> None:
    """The change to what model.toml says."""


def describe_versions(
    model: ModelVersions, known: KnownModels, workers: Sequence[WorkerInfo]
) -> list[dict[str, Any]]:
    """Returns what is shown of each version of a model; see `VersionView`.

    Args:
        model: The model.
        known: What is known of all.
        workers: The live workers.
    """
    start = f"{model.name}{VERSION_MARK}"
    left_out = {
        name.removeprefix(start): reason
        for name, reason in known.unavailable.items()
        if name.startswith(start)
    }
    rollout, serving = model.applied or Rollout(), model.serving_version
    views = []
    for version in dict.fromkeys((*model.versions, *left_out)):
        document = model.documents.get(version, model.serving if version == serving else None)
        name = f"{start}{version}" if model.documents else model.name
        rest = 1.0 - sum(rollout.shares.values())
        views.append(
            {
                "version": version,
                "digest": (document and document.digest) or None,
                "is_serving": version == serving,
                "share": round(rest, 9) if version == serving else rollout.shares.get(version, 0.0),
                "shadow": rollout.shadow.get(version, 0.0),
                "workers": sum(name in worker.models for worker in workers),
                "reason": left_out.get(version),
            }
        )
    return views
