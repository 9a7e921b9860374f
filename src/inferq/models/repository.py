"""The model repository: a folder with a folder for each model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from inferq.errors import InvalidModelError
from inferq.models.model import Model
from inferq.models.repository_scan import scan_repository
from inferq.terminal import make_printable

log = structlog.get_logger()


class LoadedModels(NamedTuple):
    """The models of a repository that could be loaded, and the others.

    Attributes:
        models: The models that can be served, at least one, by name in alphabetical order.
        left_out: Name to reason of the models that cannot.
    """

    models: dict[str, Model]
    left_out: dict[str, str]


def load_each(path: Path, load: Callable[[Path], Model], *, is_strict: bool = False) -> LoadedModels:
    """Loads each model of a repository by a function of the caller's.

    Args:
        path: The repository's folder.
        load: Makes a folder's model ready; raises InvalidModelError where it cannot be served.
        is_strict: Whether a model that cannot be served is an error instead of being left out.

    Raises:
        InvalidModelError: The folder cannot be read, or has no model that can be served.
    """
    scan = scan_repository(path)
    if not scan.folders and not scan.skipped:
        raise InvalidModelError(
            f"The model repository {path} has no models: expected files such as "
            f"{path / 'iris' / 'model.onnx'}. Add one, or set INFERQ_MODELS_DIR."
        )
    if scan.other_folders:
        log.warning("folders_without_model", folders=scan.other_folders, expected="NAME/model.onnx")
    models: dict[str, Model] = {}
    left_out: dict[str, str] = {}
    for name, reason in scan.skipped.items():
        _leave_out(left_out, name, InvalidModelError(f"{path / name}: {reason}"), path, is_strict=is_strict)
    for folder in scan.folders:
        try:
            models[folder.name] = load(folder)
        except InvalidModelError as error:
            _leave_out(left_out, folder.name, error, path, is_strict=is_strict)
        except Exception as error:  # any error in one folder, as the others are to be served
            log.exception("model_not_loaded", model=make_printable(folder.name))
            reason = f"{folder} cannot be loaded: {type(error).__name__}: {error}. Check its model.toml."
            _leave_out(left_out, folder.name, InvalidModelError(reason), path, is_strict=is_strict)
    if not models:
        raise InvalidModelError(
            f"No model of the repository {path} can be served. "
            + " ".join(f"{name}: {reason}" for name, reason in left_out.items())
        )
    return LoadedModels(models, left_out)


def _leave_out(
    left_out: dict[str, str], name: str, error: InvalidModelError, path: Path, *, is_strict: bool
) -> None:
    if is_strict:
        raise error
    reason = make_printable(error.message.replace(f"{path}{os.sep}", "").removeprefix(f"{name}: "))
    left_out[make_printable(name)] = reason
    log.error("model_left_out", model=make_printable(name), reason=reason)
