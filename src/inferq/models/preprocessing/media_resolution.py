"""How a model takes pictures and sound: found when it is loaded, in a fixed order, and never guessed.

1. A graph that takes the bytes of a file.
2. The table `[image]`, or `[audio]`, of model.toml.
3. Hugging Face's `preprocessor_config.json`, or timm's `pretrained_cfg` in `config.json`, beside the file.
4. The metadata of Ultralytics in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inferq.errors import InvalidModelError
from inferq.models.config import ModelConfig
from inferq.models.onnx_files.graph import GraphSummary
from inferq.models.preprocessing.audio_table import read_audio_table
from inferq.models.preprocessing.huggingface import read_class_names, read_preprocessing
from inferq.models.preprocessing.image_table import find_misfit, read_image_table
from inferq.models.preprocessing.ultralytics import YoloModel, is_yolo, read_yolo
from inferq.tensors.media_inputs import find_layout, takes_pictures
from inferq.tensors.media_specs import AudioSpec, DetectionSpec, ImageSpec
from inferq.tensors.signature import Activation, Tensor


@dataclass(frozen=True, slots=True)
class MediaSupport:
    """What was found.

    Attributes:
        image: For which input it takes pictures, and what becomes of them; None where it takes none.
        image_problem: Why not, where something says how, but cannot be followed.
        audio: For which input it takes sound.
        class_names: Names of its classes, by index, if they were found.
        activation: What makes probabilities of its outputs, if that was found with them.
        detections: Where boxes are found in its outputs; None where none are.
    """

    image: ImageSpec | None = None
    image_problem: str = ""
    audio: AudioSpec | None = None
    class_names: list[str] | None = None
    activation: Activation | None = None
    detections: DetectionSpec | None = None


def resolve_media(
    folder: Path,
    config: ModelConfig,
    graph: GraphSummary,
    metadata: Mapping[str, str],
    inputs: list[Tensor],
    outputs: list[Tensor],
) -> MediaSupport:
    """Finds out how a model takes pictures and sound, and what its outputs say of them.

    Args:
        folder: The model's folder.
        config: Its model.toml.
        graph: What its graph says.
        metadata: Texts in the file, by name.
        inputs: Its inputs.
        outputs: Its outputs.

    Raises:
        InvalidModelError: Its model.toml has a table that does not fit it.
    """
    yolo: YoloModel | None = None
    image, problem = _find_by_order(folder, config, graph, inputs)
    if is_yolo(metadata):
        try:
            yolo = read_yolo(metadata, inputs, outputs)
        except InvalidModelError as error:
            problem = problem or _explain("The metadata of Ultralytics in the file", error)
        else:
            image = image or (None if problem else yolo.image)
    names = read_class_names(folder)
    return MediaSupport(
        image=image,
        image_problem="" if image else problem,
        audio=_find_audio(config, graph, inputs),
        class_names=yolo.class_names if yolo else names,
        activation="softmax" if names and not yolo else None,
        detections=yolo.detections if yolo else None,
    )


def find_picture_shape(image: ImageSpec, inputs: list[Tensor]) -> list[int] | None:
    """Returns the shape of the pictures that a model takes where its own leaves it open; None elsewhere."""
    if image.preprocessing is None or image.preprocessing.fixed_size is None:
        return None
    [tensor] = [tensor for tensor in inputs if tensor.name == image.input]
    return image.preprocessing.shape if -1 in tensor.shape[1:] else None


def _find_by_order(
    folder: Path, config: ModelConfig, graph: GraphSummary, inputs: list[Tensor]
) -> tuple[ImageSpec | None, str]:
    """Returns how pictures are taken by the first three ways; or why the third cannot be followed."""
    for name, kind in graph.file_inputs.items():
        if kind == "image":
            return ImageSpec(source="graph", input=name), ""
    if config.image is not None:
        return read_image_table(config.image, inputs), ""
    tensor = _find_picture_input(inputs)
    if tensor is None:
        return None, ""
    # Hugging Face's exports leave all axes open
    found = read_preprocessing(folder, find_layout(tensor) or "NCHW")
    if found is None:
        return None, ""
    if isinstance(found.steps, InvalidModelError):
        return None, _explain(found.source, found.steps)
    misfit = find_misfit(found.steps, tensor)
    if misfit is not None:
        return None, _explain(found.source, InvalidModelError(misfit))
    return ImageSpec(source=found.source, input=tensor.name, preprocessing=found.steps), ""


def _find_picture_input(inputs: list[Tensor]) -> Tensor | None:
    for tensor in inputs:
        if tensor.name == "pixel_values" and len(tensor.shape) == 4 and tensor.datatype.is_float:
            return tensor
    fitting = [tensor for tensor in inputs if takes_pictures(tensor) and tensor.datatype.is_float]
    return fitting[0] if len(fitting) == 1 else None


def _find_audio(config: ModelConfig, graph: GraphSummary, inputs: list[Tensor]) -> AudioSpec | None:
    for name, kind in graph.file_inputs.items():
        if kind == "audio":
            return AudioSpec(source="graph", input=name)
    return None if config.audio is None else read_audio_table(config.audio, inputs)


def _explain(what: str, error: InvalidModelError) -> str:
    return (
        f"{what} cannot be followed: {error.message}. Write an [image] table into its model.toml, or send "
        "its inputs as arrays."
    )
