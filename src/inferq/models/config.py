"""The configuration of a model: what its `model.toml` says that the ONNX file does not."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from inferq.errors import InvalidModelError
from inferq.models.file_errors import make_read_error
from inferq.models.preprocessing.audio_table import AudioTable
from inferq.models.preprocessing.image_table import ImageTable
from inferq.models.providers.execution_table import ExecutionTable
from inferq.models.results.detection_table import DetectionTable
from inferq.models.sessions.custom_ops import CustomOpsTable
from inferq.rollout import Rollout
from inferq.tensors.signature import Activation, NonFinite


class ModelConfig(BaseModel):
    """The keys of `model.toml`, all optional.

    Attributes:
        description: What the model does, for people.
        class_names: Names of the classes by index, or a table of them by label, in the order of the
            probabilities; makes the model a classifier.
        feature_names: Names along the last axis of the model's only input.
        example: A value of `data` that the model accepts: an array, or a table of named inputs.
        sample_shape: The shape of zeros that the model accepts, instead of a long example: that of its only
            input, or a table by input.
        label_output: Name of the classifier's output with the class of each row if it is not found by itself.
        probabilities_output: Name of the output with a probability for each class; empty where there is none.
        activation: What makes probabilities of that output, where it holds logits.
        non_finite: How NaN and infinities are written in results: as null, or as strings.
        timeout_seconds: Longest run of a job without a timeout of its own.
        batch: Whether jobs may share a run. False: never. True: unless the probe at start shows that they
            change each other's results. None: unless the probe or the graph shows it.
        split_rows: Most rows of a job that is not divided into chunks; 0: none ever is; None: as the setting
            `INFERQ_SPLIT_ROWS` says.
        image: How pictures become an input.
        audio: How sound becomes an input.
        detections: Which boxes of a detector are shown.
        custom_ops: Libraries with operators that ONNX Runtime does not have.
        execution: On which execution providers it runs, and how.
        rollout: Which of the model's versions take which jobs; not for a single version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    description: str = ""
    class_names: list[str] | dict[str, str] | None = Field(default=None, min_length=1)
    feature_names: list[str] | None = Field(default=None, min_length=1)
    example: Any = None
    sample_shape: list[NonNegativeInt] | dict[str, list[NonNegativeInt]] | None = None
    label_output: str | None = None
    probabilities_output: str | None = None
    non_finite: NonFinite = "null"
    timeout_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch: bool | None = None
    split_rows: int | None = Field(default=None, ge=0)
    activation: Activation | None = None
    image: ImageTable | None = None
    audio: AudioTable | None = None
    detections: DetectionTable | None = None
    custom_ops: CustomOpsTable | None = None
    execution: ExecutionTable | None = None
    rollout: Rollout | None = None


_TABLES: dict[str, type[BaseModel]] = {
    "image": ImageTable,
    "audio": AudioTable,
    "detections": DetectionTable,
    "custom_ops": CustomOpsTable,
    "execution": ExecutionTable,
    "rollout": Rollout,
}
_FORM = re.compile(r"\[|^(constrained-)?(int|float|str)$|^literal$")
"""How pydantic names one of several forms that a value may have."""


def read_config(path: Path, base: Path | None = None) -> ModelConfig:
    """Reads a `model.toml`; without the file, all keys have their defaults.

    Args:
        path: The file, that of a version where there is another for all of them.
        base: The latter, whose keys hold where `path` does not have them. A table counts as one key.

    Raises:
        InvalidModelError: One cannot be read, is not TOML, or has a key that is unknown or of the wrong type.
    """
    own, shared = _read_toml(path), _read_toml(base) if base else {}
    if base and "rollout" in own:
        raise InvalidModelError(
            f"{path} has a table [rollout], which is about all versions. Move it to {base}."
        )
    try:
        return ModelConfig.model_validate(shared | own)
    except ValidationError as error:
        key, explained = _explain(error)
        raise InvalidModelError(f"{path if key in own or not base else base}: {explained}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise make_read_error(path, error) from error
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{path} is not UTF-8. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidModelError(f"{path} is not valid TOML: {error}. Correct it there.") from error
    except RecursionError as error:
        raise InvalidModelError(f"{path} nests arrays or tables too deep. Correct it there.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidModelError(f"{path} cannot be read: {error}. Correct it there.") from error


def _explain(error: ValidationError) -> tuple[str, str]:
    """Returns the key of the file that is wrong, and what to do."""
    # for a key that takes a list or a table, the deepest error belongs to the form that was meant
    deepest = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
    top = str(deepest["loc"][0])
    key = ".".join(str(part) for part in deepest["loc"] if not _FORM.search(str(part)))
    if deepest["type"] == "extra_forbidden":
        table = _TABLES.get(top, ModelConfig)
        where = "" if table is ModelConfig else f"[{top}] in "
        return top, f"{key!r} is no key of {where}a model.toml. Known keys: {', '.join(table.model_fields)}."
    return top, f"{key!r} is not valid: {deepest['msg']}. Correct it there."
