"""The card of a model: what its `model.toml` says that the ONNX file does not."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from inferq.errors import InvalidModelError
from inferq.tensors.signature import NonFinite


class ModelConfig(BaseModel):
    """The keys of `model.toml`, all optional.

    Attributes:
        description: What the model does, in a person's words.
        class_names: Names of the classes by index, or a table of them by label, in the order of the
            probabilities; makes the model a classifier.
        feature_names: Names along the last axis of the model's only input.
        example: A value of `data` that the model accepts: an array, or a table of named inputs.
        sample_shape: The shape of zeros that the model accepts, for one whose example would be long: that of
            its only input, or a table by input.
        label_output: Name of the classifier's output that holds the class, where it is not found by itself.
        probabilities_output: Name of the output that holds a probability for each class; empty where none
            does.
        non_finite: How NaN and infinities are written in results: as null, or as strings.
        timeout_seconds: Longest run of a job that does not say otherwise.
        batch: Whether jobs may share a run: False: never; True: unless a trial shows that they change each
            other's results; None: unless that, or the graph says that they do.
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


def read_config(path: Path) -> ModelConfig:
    """Reads a `model.toml`; one that does not exist is an empty card.

    Raises:
        InvalidModelError: It cannot be read, is not TOML, or has a key that is unknown or of the wrong type.
    """
    try:
        return ModelConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        return ModelConfig()
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{path} is not UTF-8. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidModelError(f"{path} is not valid TOML: {error}. Correct it there.") from error
    except ValidationError as error:
        raise InvalidModelError(f"{path}: {_explain(error)}") from error
    except RecursionError as error:
        raise InvalidModelError(f"{path} nests arrays or tables too deep. Correct it there.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidModelError(f"{path} cannot be read: {error}. Correct it there.") from error


def _explain(error: ValidationError) -> str:
    # of a key that takes a list or a table, the error that lies deepest is of the one that was meant
    deepest = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
    key = ".".join(str(part) for part in deepest["loc"] if "[" not in str(part))
    if deepest["type"] == "extra_forbidden":
        return f"{key!r} is no key of a model.toml. Known keys: {', '.join(ModelConfig.model_fields)}."
    return f"{key!r} is not valid: {deepest['msg']}. Correct it there."
