"""The folder of one model, or of one version of it: its `model.onnx`, and perhaps a `model.toml`."""

import math
import re
from functools import partial
from pathlib import Path

import structlog

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.model_names import MODEL_NAME_PATTERN
from inferq.models.arrays import find_datatype
from inferq.models.config import ModelConfig, read_config
from inferq.models.model import Model
from inferq.models.onnx_files.graph import read_graph
from inferq.models.preprocessing.media_resolution import MediaSupport, find_picture_shape, resolve_media
from inferq.models.providers.execution_providers import DEFAULT_EXECUTION, RUNTIME, ExecutionConfig
from inferq.models.providers.provider_choice import load_on_providers
from inferq.models.repository.model_version import VERSION_DIGITS, read_digest
from inferq.models.results.classifier_encoder import ClassifierEncoder
from inferq.models.results.detection_encoder import DetectionEncoder
from inferq.models.results.media_encoder_choice import choose_media_encoder
from inferq.models.sessions.custom_ops import find_libraries
from inferq.models.sessions.device_session import bind_session
from inferq.models.sessions.onnx_runtime import describe_inputs, describe_outputs, open_session
from inferq.models.sessions.session_choice import choose_session
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import READ_FORMS
from inferq.tensors.signature import ModelDocument, Tensor

log = structlog.get_logger(__name__)

_NAMED = (ClassifierEncoder, DetectionEncoder)
_MOST_SAMPLE_VALUES = 5_000_000
"""In each input: `POST /predict/test` makes JSON of them."""


def load_model(
    folder: Path,
    execution: ExecutionConfig = DEFAULT_EXECUTION,
    *,
    version: str = "",
    max_rows: int | None = None,
    max_image_pixels: int | None = None,
    split_rows: int = 0,
) -> Model:
    """Loads the model in one folder of a repository.

    Args:
        folder: The folder, whose name is the model's; or that of a version in the folder of the model.
        execution: Execution providers and session options.
        version: Name of that version; empty: the model has no folders of versions.
        max_rows: Most rows in one job; None for no limit.
        max_image_pixels: Most pixels of a picture; None for no limit.
        split_rows: Most rows of a job that is not divided into chunks, where its model.toml does not say.

    Raises:
        InvalidModelError: It cannot be served; or not on the execution providers that are wanted, and nothing
            else will do.
    """
    name = folder.parent.name if version else folder.name
    if not re.fullmatch(MODEL_NAME_PATTERN, name):
        raise InvalidModelError(
            f"{folder}: {name!r} is no name for a model. Expected up to 64 letters, digits, dots, "
            "underscores and hyphens, beginning with a letter or digit; rename the folder."
        )
    config = read_config(folder / "model.toml", folder.parent / "model.toml" if version else None)
    load = partial(
        _load,
        folder,
        name,
        version,
        config,
        max_rows=max_rows,
        max_image_pixels=max_image_pixels,
        split_rows=split_rows if config.split_rows is None else config.split_rows,
    )
    return load_on_providers(load, execution.override(config.execution))


def _load(
    folder: Path,
    name: str,
    version: str,
    config: ModelConfig,
    execution: ExecutionConfig,
    *,
    max_rows: int | None,
    max_image_pixels: int | None,
    split_rows: int,
) -> Model:
    file = folder / "model.onnx"
    graph = read_graph(file)
    libraries = find_libraries(folder, version, config.custom_ops)
    digest = read_digest(file, graph.external_files, libraries)
    opened = open_session(file, execution, [*libraries.values()], needs_extensions=graph.needs_extensions)
    session = opened.session
    inputs = describe_inputs(file, session.get_inputs(), graph)
    optional = [node for node in session.get_overridable_initializers() if find_datatype(node.type)]
    outputs = describe_outputs(file, session.get_outputs(), graph)
    try:
        _check_feature_names(config, inputs)
        metadata = session.get_modelmeta().custom_metadata_map
        media = resolve_media(folder, config, graph, metadata, inputs, outputs)
        encoder = choose_media_encoder(outputs, config, media)
        document = ModelDocument(
            name=name,
            version=version or digest[:VERSION_DIGITS],
            versions=[version or digest[:VERSION_DIGITS]],
            digest=digest,
            runtime=RUNTIME,
            providers=opened.providers,
            provider_problem=opened.problem,
            description=config.description,
            inputs=inputs,
            optional_inputs=describe_inputs(file, optional, graph),
            outputs=outputs,
            class_names=encoder.class_names if isinstance(encoder, _NAMED) else None,
            class_labels=encoder.class_labels if isinstance(encoder, ClassifierEncoder) else None,
            feature_names=config.feature_names,
            example=config.example,
            sample_shape=_choose_sample_shape(config, media, inputs),
            non_finite=config.non_finite,
            image=media.image,
            image_problem=media.image_problem,
            audio=media.audio,
            detections=encoder.spec if isinstance(encoder, DetectionEncoder) else None,
            activation=encoder.activation if isinstance(encoder, ClassifierEncoder) else None,
            timeout_seconds=config.timeout_seconds,
            forms=list(READ_FORMS),
            # the bytes of a file are no rows, whatever model.toml says
            batch=not graph.file_inputs and (graph.is_batch if config.batch is None else config.batch),
        )
        _check_example(document)
    except InvalidModelError as error:
        raise InvalidModelError(f"{folder / 'model.toml'}: {error.message}") from error
    if media.image_problem:
        log.warning("pictures_not_taken", model=name, reason=media.image_problem)
    dependence = graph.dependence if config.batch is None else None
    every_input = [*inputs, *document.optional_inputs]
    chosen = choose_session(file, session, every_input, outputs)
    bound = bind_session(chosen, opened.providers, every_input, outputs)
    return Model(document, bound, encoder, max_rows, dependence, max_image_pixels, split_rows)


def _check_feature_names(config: ModelConfig, inputs: list[Tensor]) -> None:
    if config.feature_names is None:
        return
    if len(inputs) != 1 or not inputs[0].shape:
        raise InvalidModelError(
            f"feature_names name the last axis of a model's only input, but the model takes "
            f"{', '.join(str(tensor) for tensor in inputs) or 'none'}. Remove them."
        )
    if inputs[0].shape[-1] not in (-1, len(config.feature_names)):
        raise InvalidModelError(
            f"feature_names has {len(config.feature_names)} names, but the input {inputs[0]} has "
            f"{inputs[0].shape[-1]} features. Give one name for each."
        )


def _choose_sample_shape(
    config: ModelConfig, media: MediaSupport, inputs: list[Tensor]
) -> dict[str, list[int]] | None:
    """Returns the sample shape by input: of model.toml, else of pictures where there is no example."""
    given = _read_sample_shape(config, inputs)
    if given is not None or config.example is not None or media.image is None:
        return given
    shape = find_picture_shape(media.image, inputs)
    return None if shape is None or math.prod(shape) > _MOST_SAMPLE_VALUES else {media.image.input: shape}


def _read_sample_shape(config: ModelConfig, inputs: list[Tensor]) -> dict[str, list[int]] | None:
    """Returns the sample shape of each input for which model.toml gives one."""
    shapes = config.sample_shape
    if shapes is None:
        return None
    if isinstance(shapes, list):
        if len(inputs) != 1:
            raise InvalidModelError(
                f"sample_shape is one shape, but the model takes {', '.join(map(str, inputs)) or 'nothing'}. "
                "Write a table of a shape for each input."
            )
        shapes = {inputs[0].name: shapes}
    known = {tensor.name: tensor for tensor in inputs}
    for name, shape in shapes.items():
        tensor = known.get(name)
        if tensor is None or not tensor.takes_shape(shape):
            raise InvalidModelError(
                f"sample_shape says {shape} for {name!r}, but the model takes "
                f"{', '.join(map(str, inputs)) or 'nothing'}. Correct it."
            )
        if math.prod(shape) > _MOST_SAMPLE_VALUES:
            raise InvalidModelError(
                f"sample_shape says {shape} for {name!r}, more than {_MOST_SAMPLE_VALUES} values. Give a "
                "smaller one."
            )
    return shapes


def _check_example(document: ModelDocument) -> None:
    if document.example is None:
        return
    try:
        # without the example, which errors would show as a valid one
        DataValidator(document.model_copy(update={"example": None})).validate(document.example)
    except InvalidInputError as error:
        raise InvalidModelError(f"The example does not fit the model. {error.message}") from error
