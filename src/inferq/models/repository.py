"""The model repository: one folder with a `model.onnx`, and perhaps a `model.toml`, for each model."""

import errno
import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.models.arrays import find_datatype
from inferq.models.config import ModelConfig, read_config
from inferq.models.encoders import ClassifierEncoder, choose_encoder
from inferq.models.graph import read_graph
from inferq.models.model import Model, open_session, read_inputs, read_outputs
from inferq.settings import MODEL_NAME_PATTERN
from inferq.tensors.signature import ModelDocument, Tensor
from inferq.tensors.validation import DataValidator
from inferq.terminal import printable

_VERSION_DIGITS = 12
_MOST_SAMPLE_VALUES = 5_000_000
"""In each input: `POST /predict/test` makes JSON of them."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a repository's folder.

    Attributes:
        folders: The models' folders, in alphabetical order.
        passed_over: What looks like a model and is none: a name, and why with what to do.
        other: Names of folders in which nothing looks like a model.
    """

    folders: list[Path]
    passed_over: dict[str, str]
    other: list[str]


class Loaded(NamedTuple):
    """The models of a repository.

    Attributes:
        models: Those that can be served, at least one, by name in alphabetical order.
        left_out: Name to reason of those that cannot.
    """

    models: dict[str, Model]
    left_out: dict[str, str]


def load_repository(path: Path, *, threads: int = 0, max_rows: int | None = None) -> dict[str, Model]:
    """Loads the models of a repository; one that cannot be served is left out, and the log says why.

    Args:
        path: The repository's folder.
        threads: Threads within one run of a model; 0 for one per core.
        max_rows: Most rows in one job; None for no limit.

    Returns:
        At least one model, by name, in alphabetical order.

    Raises:
        InvalidModelError: The folder cannot be read, or has no model that can be served.
    """
    return load_each(path, partial(load_model, threads=threads, max_rows=max_rows)).models


def load_each(path: Path, load: Callable[[Path], Model], *, is_strict: bool = False) -> Loaded:
    """Loads the models of a repository in a way of the caller's own.

    Args:
        path: The repository's folder.
        load: Makes a folder's model ready; raises InvalidModelError where it cannot be served.
        is_strict: Whether a model that cannot be served is an error instead of being left out.

    Raises:
        InvalidModelError: The folder cannot be read, or has no model that can be served.
    """
    survey = survey_repository(path)
    if not survey.folders and not survey.passed_over:
        raise InvalidModelError(
            f"The model repository {path} has no models: expected files such as "
            f"{path / 'iris' / 'model.onnx'}. Add one, or set INFERQ_MODELS_DIR."
        )
    if survey.other:
        log.warning("folders_without_model", folders=survey.other, expected="NAME/model.onnx")
    models: dict[str, Model] = {}
    left_out: dict[str, str] = {}
    for name, reason in survey.passed_over.items():
        _leave_out(left_out, name, InvalidModelError(f"{path / name}: {reason}"), path, is_strict=is_strict)
    for folder in survey.folders:
        try:
            models[folder.name] = load(folder)
        except InvalidModelError as error:
            _leave_out(left_out, folder.name, error, path, is_strict=is_strict)
        except Exception as error:  # whatever is in one folder, the others are served
            log.exception("model_not_loaded", model=printable(folder.name))
            reason = f"{folder} cannot be loaded: {type(error).__name__}: {error}. Check its model.toml."
            _leave_out(left_out, folder.name, InvalidModelError(reason), path, is_strict=is_strict)
    if not models:
        raise InvalidModelError(
            f"No model of the repository {path} can be served. "
            + " ".join(f"{name}: {reason}" for name, reason in left_out.items())
        )
    return Loaded(models, left_out)


def survey_repository(path: Path) -> Survey:
    """Looks for models in a repository's folder; what is hidden is passed over.

    Args:
        path: The repository's folder.

    Raises:
        InvalidModelError: It is no folder, or cannot be read.
    """
    try:
        entries = [entry for entry in _list(path) if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidModelError(
            f"The model repository {path} is no folder. Create it with a folder for each model, holding its "
            "model.onnx, or set INFERQ_MODELS_DIR."
        ) from error
    except OSError as error:
        raise InvalidModelError(
            f"The model repository {path} cannot be read: {error.strerror}. Check its permissions, or set "
            "INFERQ_MODELS_DIR."
        ) from error
    survey = Survey([], {}, [])
    taken = {entry.name for entry in entries}
    for entry in entries:
        if os.path.lexists(entry / "model.onnx"):
            survey.folders.append(entry)
        elif (reason := _why_not(entry)) is not None:
            name = entry.stem if entry.suffix == ".onnx" and entry.stem not in taken else entry.name
            survey.passed_over[name] = reason
        elif entry.is_dir():
            survey.other.append(printable(entry.name))
    return survey


def _list(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    if not os.access(folder, os.X_OK):  # names can be read, but nothing else
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return entries


def _why_not(entry: Path) -> str | None:
    """Why something in a repository is no model's folder, though it looks like one, and what to do."""
    right = Path(entry.stem if entry.suffix == ".onnx" else entry.name) / "model.onnx"
    if entry.is_symlink() and not entry.exists():
        return f"It is a link to {entry.readlink()}, which is not there. Correct or remove the link."
    if not entry.is_dir():
        if entry.suffix != ".onnx":
            return None
        if entry.name == "model.onnx":
            return "It has no folder of its own. Move it to NAME/model.onnx, NAME being the model's name."
        return f"It has no folder of its own. Move it to {right}."
    try:
        files = [file.name for file in _list(entry)]
        found = next((name for name in files if name.lower().endswith(".onnx")), None)
        found = found or next((str(file.relative_to(entry)) for file in entry.glob("*/*.onnx")), None)
    except OSError as error:
        # such as lost+found, which is in many a mounted volume
        is_name = re.fullmatch(MODEL_NAME_PATTERN, entry.name)
        return f"It cannot be read: {error.strerror}. Check its permissions." if is_name else None
    if found is not None:
        return f"It has no model.onnx, but {found}. Move that to {right}."
    return f"It has a model.toml, but no model.onnx. Add {right}." if "model.toml" in files else None


def _leave_out(
    left_out: dict[str, str], name: str, error: InvalidModelError, path: Path, *, is_strict: bool
) -> None:
    if is_strict:
        raise error
    reason = printable(error.message.replace(f"{path}{os.sep}", "").removeprefix(f"{name}: "))
    left_out[printable(name)] = reason
    log.error("model_left_out", model=printable(name), reason=reason)


def load_model(folder: Path, *, threads: int = 0, max_rows: int | None = None) -> Model:
    """Loads the model in one folder of a repository.

    Args:
        folder: The folder, whose name is the model's.
        threads: See `load_repository`.
        max_rows: See `load_repository`.

    Raises:
        InvalidModelError: It cannot be served.
    """
    if not re.fullmatch(MODEL_NAME_PATTERN, folder.name):
        raise InvalidModelError(
            f"{folder}: {folder.name!r} is no name for a model. Expected up to 64 letters, digits, dots, "
            "underscores and hyphens, beginning with a letter or digit; rename the folder."
        )
    file, card = folder / "model.onnx", read_config(folder / "model.toml")
    graph = read_graph(file)
    version = _read_version(file, graph.external_files)
    session = open_session(file, threads)
    inputs = read_inputs(file, session.get_inputs(), graph)
    optional = [node for node in session.get_overridable_initializers() if find_datatype(node.type)]
    outputs = read_outputs(file, session.get_outputs(), graph)
    try:
        _check_card(card, inputs)
        encoder = choose_encoder(outputs, card)
        document = ModelDocument(
            name=folder.name,
            version=version,
            versions=[version],
            description=card.description,
            inputs=inputs,
            optional_inputs=read_inputs(file, optional, graph),
            outputs=outputs,
            class_names=encoder.class_names if isinstance(encoder, ClassifierEncoder) else None,
            class_labels=encoder.class_labels if isinstance(encoder, ClassifierEncoder) else None,
            feature_names=card.feature_names,
            example=card.example,
            sample_shape=_read_sample_shape(card, inputs),
            non_finite=card.non_finite,
            timeout_seconds=card.timeout_seconds,
            batch=graph.is_batch if card.batch is None else card.batch,
        )
        _check_example(document)
    except InvalidModelError as error:
        raise InvalidModelError(f"{folder / 'model.toml'}: {error.message}") from error
    dependence = graph.dependence if card.batch is None else None
    return Model(document, session, encoder, max_rows, dependence)


def _read_version(file: Path, external_files: Sequence[str]) -> str:
    """Returns the first digits of the file's SHA-256, or of what `sha256sum` prints of it and its data."""
    digest = _hash_file(file)
    if not external_files:
        return digest[:_VERSION_DIGITS]
    lines = [f"{digest}  {file.name}\n"]
    for name in external_files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InvalidModelError(
                f"{file} has weights in {name!r}, outside its folder. Save it again with its data beside it."
            )
        if not (file.parent / name).exists():
            raise InvalidModelError(
                f"{file} has weights in {name!r}, but {file.parent / name} does not exist. Copy it there, "
                "under that name."
            )
        lines.append(f"{_hash_file(file.parent / name)}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:_VERSION_DIGITS]


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _check_card(card: ModelConfig, inputs: list[Tensor]) -> None:
    if card.feature_names is None:
        return
    if len(inputs) != 1 or not inputs[0].shape:
        raise InvalidModelError(
            f"feature_names name the last axis of a model's only input, but the model takes "
            f"{', '.join(str(tensor) for tensor in inputs) or 'none'}. Remove them."
        )
    if inputs[0].shape[-1] not in (-1, len(card.feature_names)):
        raise InvalidModelError(
            f"feature_names has {len(card.feature_names)} names, but the input {inputs[0]} has "
            f"{inputs[0].shape[-1]} features. Give one name for each."
        )


def _read_sample_shape(card: ModelConfig, inputs: list[Tensor]) -> dict[str, list[int]] | None:
    """Returns the shape of each input that the card gives one for."""
    shapes = card.sample_shape
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
        # an error that shows an example of data must not show this one
        DataValidator(document.model_copy(update={"example": None})).validate(document.example)
    except InvalidInputError as error:
        raise InvalidModelError(f"The example does not fit the model. {error.message}") from error
