"""What Hugging Face keeps beside a model: `preprocessor_config.json` and `config.json`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from inferq.errors import InvalidModelError
from inferq.models.preprocessing.image_processors import read_image_processor
from inferq.models.preprocessing.timm_config import read_timm_config
from inferq.tensors.media_specs import ImagePreprocessing, MediaSource

_PROCESSOR_FILE: MediaSource = "preprocessor_config.json"
_CONFIG_FILE: MediaSource = "config.json"

log = structlog.get_logger(__name__)


class Preprocessing(NamedTuple):
    """How pictures are prepared, as a file beside the model says.

    Attributes:
        source: The file.
        steps: What it says, or why that cannot be followed, as a clause.
    """

    source: MediaSource
    steps: ImagePreprocessing | InvalidModelError


def read_preprocessing(folder: Path, layout: str) -> Preprocessing | None:
    """Reads how pictures are prepared; None where no file beside the model says so.

    Args:
        folder: The model's folder.
        layout: The axes of its input for pictures.
    """
    for source in (_PROCESSOR_FILE, _CONFIG_FILE):
        try:
            config = _read_object(folder / source)
            if source == _CONFIG_FILE:
                config = None if config is None else config.get("pretrained_cfg")
                if isinstance(config, dict):
                    return Preprocessing(source, read_timm_config(config, layout))
            elif config is not None and "sampling_rate" not in config:  # else it is for sound
                return Preprocessing(source, read_image_processor(config, layout))
        except InvalidModelError as error:
            return Preprocessing(source, error)
    return None


def read_class_names(folder: Path) -> list[str] | None:
    """Returns the names of an image classifier's classes, by index; None where no file beside it has them."""
    try:
        config = _read_object(folder / _CONFIG_FILE)
    except InvalidModelError as error:
        log.warning("class_names_not_read", folder=str(folder), reason=error.message)
        return None
    if config is None or config.get("problem_type") == "multi_label_classification":
        return None
    timm = config.get("pretrained_cfg")
    if isinstance(timm, dict):
        names = config.get("label_names") or timm.get("label_names")
        return _check_names(names) if isinstance(names, list) else None
    kinds = config.get("architectures")
    names = config.get("id2label")
    if not isinstance(kinds, list) or not isinstance(names, dict):
        return None
    if not any("ForImageClassification" in str(kind) for kind in kinds):
        return None
    return _check_names([names.get(str(index)) for index in range(len(names))])


def _check_names(names: list[Any]) -> list[str] | None:
    return names if len(names) > 1 and all(isinstance(name, str) for name in names) else None


def _read_object(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object; None where there is no such file.

    Raises:
        InvalidModelError: It cannot be read; the message is a clause.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidModelError(f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidModelError("it is no JSON object")
    return value
