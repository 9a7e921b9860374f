"""What the proxy knows of the models at one moment."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

from inferq.errors import InferqError, ModelUnavailableError, UnknownModelError
from inferq.model_names import VERSION_MARK, QueueName, order_version
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import JSON
from inferq.tensors.signature import ModelDocument

UNAVAILABLE_RETRY_SECONDS = 60.0
"""When to ask again for a model that cannot be served: an operator has to repair it first."""


@dataclass(frozen=True, slots=True)
class AnnouncedModel:
    """A model that a worker has announced.

    Attributes:
        announced: The model's document as it is stored in Redis.
        document: The same, parsed.
        validator: Checks data against it.
    """

    announced: bytes
    document: ModelDocument
    validator: DataValidator

    @classmethod
    def from_json(cls, announced: bytes, max_rows: int) -> "AnnouncedModel":
        """Parses a document.

        Args:
            announced: The document as it is stored in Redis.
            max_rows: Most rows in one job.

        Raises:
            InvalidModelError: It cannot be parsed.
        """
        document = ModelDocument.from_json(announced)
        return cls(announced, document, DataValidator(document, max_rows))


@dataclass(frozen=True, slots=True)
class KnownModels:
    """What is known of the models at one moment. Names are those of models, and of versions, as `iris@2`.

    Attributes:
        announced: The announced models by name, and each of their versions.
        unavailable: Name to reason of those that live workers have left out, and none serves, and of those
            that were unloaded.
        default_name: The model of a request that names none.
        default_model: The setting. A model of this name is accepted before any has been announced.
        error: Why nothing is known; None where something is.
        served: Names of the models that live workers serve; None where that is not known.
        forms: Name to the forms of data, by their media types, that every live worker of the model reads
            beside JSON.
    """

    announced: Mapping[str, AnnouncedModel]
    unavailable: Mapping[str, str]
    default_name: str
    default_model: str
    error: InferqError | None = None
    served: frozenset[str] | None = None
    forms: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def make_unreadable(cls, default_model: str, error: InferqError) -> "KnownModels":
        """Stands for the models while they cannot be read, so that a wrong request is still told so.

        Args:
            default_model: The setting.
            error: Raised for a request that is not wrong in itself.
        """
        return cls({}, {}, default_model, default_model, copy(error))

    @property
    def names(self) -> list[str]:
        """The names of all announced models, without their versions."""
        return [name for name in self.announced if VERSION_MARK not in name]

    def list_versions(self, name: str) -> list[str]:
        """Returns the versions of an announced model in their order, whichever workers serve them."""
        start = f"{name}{VERSION_MARK}"
        found = [one.removeprefix(start) for one in self.announced if one.startswith(start)]
        return sorted(found, key=order_version) or self.announced[name].document.versions

    def locate(self, name: str) -> tuple[str, AnnouncedModel | None]:
        """Finds the queue for jobs that name a model, or a version of it.

        Args:
            name: The name.

        Returns:
            Name of the queue: the same, but for the only version of a model without versions, which has no
            queue of its own. And what is announced; None for the default model before any worker has
            announced one.

        Raises:
            UnknownModelError: Nothing of this name is announced, or it is a queue of workers' own jobs.
            ModelUnavailableError: The workers that should serve it cannot.
        """
        self.check_readable()
        queue = name if name in self.announced else self._choose_queue(name)
        self.check_available(queue)
        if queue not in self.announced and (self.announced or queue != self.default_model):
            raise _make_unknown_error(name, self.names, is_default=name == self.default_model)
        return queue, self.announced.get(queue)

    def check_readable(self) -> None:
        """Raises why nothing is known, if that is so."""
        if self.error is not None:
            raise copy(self.error)  # the same one would collect tracebacks, a cycle that holds the request

    def _choose_queue(self, name: str) -> str:
        """Returns the name of a queue of which nothing is announced under this name."""
        asked = QueueName.parse(name)
        if asked is None or asked == QueueName(name):
            return name
        if asked.purpose:
            raise UnknownModelError(
                f"The queue {name!r} is for jobs that workers make. Name the model, {asked.base!r}."
            )
        model = self.announced.get(asked.model)
        if model is None or name in self.unavailable:
            self.check_available(asked.model)
            return name
        if asked.version == model.document.version:
            return asked.model
        versions = self.list_versions(asked.model)
        raise UnknownModelError(
            f"Model {asked.model!r} has no version {asked.version!r}. Known: {', '.join(versions)}; "
            f"{model.document.version} serves jobs that name none."
        )

    def check_available(self, name: str) -> None:
        """Refuses a model that the workers which should serve it cannot.

        Raises:
            ModelUnavailableError: It is one.
        """
        if name in self.unavailable:
            raise ModelUnavailableError(
                f"The model {name!r} cannot be served: {self.unavailable[name]}",
                retry_after_seconds=UNAVAILABLE_RETRY_SECONDS,
            )

    def check_reads(self, name: str, media_type: str) -> None:
        """Refuses data in a form that a live worker of its model does not read.

        Args:
            name: The model.
            media_type: What HTTP calls the form.

        Raises:
            ModelUnavailableError: One of them is older than the form.
        """
        if media_type != JSON.media_type and media_type not in self.forms.get(name, ()):
            raise ModelUnavailableError(
                f"Data stored as {media_type} cannot be taken for the model {name!r}: a worker that serves "
                "it is of a version that does not read it. Update all workers, or send JSON.",
                retry_after_seconds=UNAVAILABLE_RETRY_SECONDS,
            )

    def to_message(self) -> "KnownModelsMessage":
        """Returns the same in a form that another process can be sent."""
        documents = {name: model.announced for name, model in self.announced.items()}
        return documents, self.unavailable, self.default_name, self.default_model, self.error, self.forms

    @classmethod
    def from_message(cls, message: "KnownModelsMessage", max_rows: int) -> "KnownModels":
        """Restores what `to_message` returned. Documents that did not change are parsed once."""
        documents, unavailable, default_name, default_model, error, forms = message
        announced = {name: _parse_document(document, max_rows) for name, document in documents.items()}
        return cls(announced, unavailable, default_name, default_model, error, forms=forms)


type KnownModelsMessage = tuple[
    dict[str, bytes], Mapping[str, str], str, str, InferqError | None, Mapping[str, frozenset[str]]
]
"""The attributes of `KnownModels`, with the stored document of each model alone."""


@lru_cache(maxsize=1000)
def _parse_document(announced: bytes, max_rows: int) -> AnnouncedModel:
    return AnnouncedModel.from_json(announced, max_rows)


def _make_unknown_error(name: str, known: Iterable[str], *, is_default: bool) -> UnknownModelError:
    names = ", ".join(known)
    models = f"Known: {names}." if names else "No worker has announced any model yet."
    default = " It is the default (INFERQ_DEFAULT_MODEL): name another." if is_default else ""
    return UnknownModelError(f"There is no model {name[:80]!r}. {models}{default}")
