"""The model repository: one folder with a `model.onnx`, and perhaps a `model.toml`, for each model."""

import hashlib
import re
from pathlib import Path

from inferq.jobs import InvalidInputError, InvalidModelError
from inferq.models.card import ModelCard, read_card
from inferq.models.results import choose_encoder
from inferq.models.session import Model, open_session, read_tensors
from inferq.models.signature import ModelDocument, Tensor
from inferq.models.validation import DataValidator
from inferq.settings import MODEL_NAME_PATTERN

_VERSION_DIGITS = 12


def load_repository(path: Path, *, threads: int = 0, max_rows: int | None = None) -> dict[str, Model]:
    """Loads every model of a repository; folders without a `model.onnx` and hidden ones are passed over.

    Args:
        path: The repository's folder.
        threads: Threads within one run of a model; 0 for one per core.
        max_rows: Most rows in one job; None for no limit.

    Returns:
        At least one model, by name, in alphabetical order.

    Raises:
        InvalidModelError: The folder has no models, or one of them cannot be served.
    """
    if not path.is_dir():
        raise InvalidModelError(
            f"The model repository {path} is no folder. Create it with a folder for each model, holding its "
            "model.onnx, or set INFERQ_MODELS_DIR."
        )
    files = sorted(file for file in path.glob("*/model.onnx") if not file.parent.name.startswith("."))
    if not files:
        raise InvalidModelError(
            f"The model repository {path} has no models: expected files such as "
            f"{path / 'iris' / 'model.onnx'}. Add one, or set INFERQ_MODELS_DIR."
        )
    return {file.parent.name: load_model(file.parent, threads=threads, max_rows=max_rows) for file in files}


def load_model(folder: Path, *, threads: int = 0, max_rows: int | None = None) -> Model:
    """Loads the model in one folder of a repository; arguments and errors as for `load_repository`."""
    if not re.fullmatch(MODEL_NAME_PATTERN, folder.name):
        raise InvalidModelError(
            f"{folder}: {folder.name!r} is no name for a model. Expected up to 64 letters, digits, dots, "
            "underscores and hyphens, beginning with a letter or digit; rename the folder."
        )
    file, card = folder / "model.onnx", read_card(folder / "model.toml")
    version = _hash_file(file)
    session = open_session(file, threads)
    inputs, outputs = read_tensors(file, session.get_inputs()), read_tensors(file, session.get_outputs())
    document = ModelDocument(
        name=folder.name,
        version=version,
        versions=[version],
        description=card.description,
        inputs=inputs,
        outputs=outputs,
        class_names=card.class_names,
        feature_names=card.feature_names,
        example=card.example,
        timeout_seconds=card.timeout_seconds,
        batch=card.batch,
    )
    try:
        _check_card(card, inputs)
        encoder = choose_encoder(outputs, card)
        _check_example(document)
    except InvalidModelError as error:
        raise InvalidModelError(f"{folder / 'model.toml'}: {error.message}") from error
    return Model(document, session, encoder, max_rows)


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_VERSION_DIGITS]
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _check_card(card: ModelCard, inputs: list[Tensor]) -> None:
    if not inputs:
        raise InvalidModelError(
            "The model has no inputs, so there is nothing to send it. Serve one that has."
        )
    if card.feature_names is None:
        return
    if len(inputs) > 1 or not inputs[0].shape:
        raise InvalidModelError(
            f"feature_names name the last axis of a model's only input, but the model takes "
            f"{', '.join(str(tensor) for tensor in inputs)}. Remove them."
        )
    if inputs[0].shape[-1] not in (-1, len(card.feature_names)):
        raise InvalidModelError(
            f"feature_names has {len(card.feature_names)} names, but the input {inputs[0]} has "
            f"{inputs[0].shape[-1]} features. Give one name for each."
        )


def _check_example(document: ModelDocument) -> None:
    if document.example is None:
        return
    try:
        DataValidator(document).validate(document.example)
    except InvalidInputError as error:
        raise InvalidModelError(f"The example does not fit the model. {error.message}") from error
