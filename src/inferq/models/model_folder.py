"""The folder of one model: its `model.onnx`, and perhaps a `model.toml`."""

import math
import re
from pathlib import Path

import structlog

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.models.arrays import find_datatype
from inferq.models.classifier_encoder import ClassifierEncoder
from inferq.models.config import ModelConfig, read_config
from inferq.models.detection_encoder import DetectionEncoder
from inferq.models.execution_providers import DEFAULT_EXECUTION, ExecutionConfig
from inferq.models.graph import read_graph
from inferq.models.media_encoder_choice import choose_media_encoder
from inferq.models.media_resolution import MediaSupport, find_picture_shape, resolve_media
from inferq.models.model import Model
from inferq.models.model_version import read_version
from inferq.models.onnx_runtime import describe_inputs, describe_outputs, open_session
from inferq.settings import MODEL_NAME_PATTERN
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import MEDIA_TYPES
from inferq.tensors.signature import ModelDocument, Tensor

log = structlog.get_logger(__name__)

_NAMED = (ClassifierEncoder, DetectionEncoder)
_MOST_SAMPLE_VALUES = 5_000_000
"""In each input: `POST /predict/test` makes JSON of them."""


def load_model(
    folder: Path,
    execution: ExecutionConfig = DEFAULT_EXECUTION,
    *,
    max_rows: int | None = None,
    max_image_pixels: int | None = None,
) -> Model:
    """Loads the model in one folder of a repository.

    Args:
        folder: The folder, whose name is the model's.
        execution: Execution providers and session options.
        max_rows: Most rows in one job; None for no limit.
        max_image_pixels: Most pixels of a picture; None for no limit.

    Raises:
        InvalidModelError: It cannot be served.
    """
    if not re.fullmatch(MODEL_NAME_PATTERN, folder.name):
        raise InvalidModelError(
            f"{folder}: {folder.name!r} is no name for a model. Expected up to 64 letters, digits, dots, "
            "underscores and hyphens, beginning with a letter or digit; rename the folder."
        )
    file, config = folder / "model.onnx", read_config(folder / "model.toml")
    graph = read_graph(file)
    version = read_version(file, graph.external_files)
    session = open_session(file, execution, needs_extensions=graph.needs_extensions)
    inputs = describe_inputs(file, session.get_inputs(), graph)
    optional = [node for node in session.get_overridable_initializers() if find_datatype(node.type)]
    outputs = describe_outputs(file, session.get_outputs(), graph)
    try:
        _check_feature_names(config, inputs)
        metadata = session.get_modelmeta().custom_metadata_map
        media = resolve_media(folder, config, graph, metadata, inputs, outputs)
        encoder = choose_media_encoder(outputs, config, media)
        document = ModelDocument(
            name=folder.name,
            version=version,
            versions=[version],
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
            forms=list(MEDIA_TYPES),
            # the bytes of a file are no rows, whatever model.toml says
            batch=not graph.file_inputs and (graph.is_batch if config.batch is None else config.batch),
        )
        _check_example(document)
    except InvalidModelError as error:
        raise InvalidModelError(f"{folder / 'model.toml'}: {error.message}") from error
    if media.image_problem:
        log.warning("pictures_not_taken", model=folder.name, reason=media.image_problem)
    dependence = graph.dependence if config.batch is None else None
    return Model(document, session, encoder, max_rows, dependence, max_image_pixels)


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
