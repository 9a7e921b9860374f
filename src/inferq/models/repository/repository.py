"""The model repository: a folder with a folder for each model, or for each version of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from inferq.errors import InvalidModelError
from inferq.models.repository.repository_scan import ModelFolder, RepositoryScan, scan_repository
from inferq.terminal import make_printable

log = structlog.get_logger()


class LoadedModels[T](NamedTuple):
    """The models of a repository that could be loaded, and the others.

    Attributes:
        models: What was made of the models that can be served, at least one, by name in alphabetical order;
            the versions of one, as `iris@2`, with the newest last.
        left_out: Name to reason of the models that cannot.
    """

    models: dict[str, T]
    left_out: dict[str, str]


def load_each[T](
    path: Path,
    load: Callable[[ModelFolder], T],
    *,
    is_strict: bool = False,
    scan: RepositoryScan | None = None,
) -> LoadedModels[T]:
    """Loads each model of a repository by a function of the caller's.

    Args:
        path: The repository's folder.
        load: Makes a folder's model ready; raises InvalidModelError where it cannot be served.
        is_strict: Whether a model that cannot be served is an error instead of being left out.
        scan: What is to be served of it; all that is there, if left out.

    Raises:
        InvalidModelError: The folder cannot be read, or has no model that can be served.
    """
    scan = scan or scan_repository(path)
    if not scan.folders and not scan.skipped:
        raise InvalidModelError(
            f"The model repository {path} has no models: expected files such as "
            f"{path / 'iris' / 'model.onnx'}. Add one, or set INFERQ_MODELS_DIR."
        )
    if scan.other_folders:
        log.warning("folders_without_model", folders=scan.other_folders, expected="NAME/model.onnx")
    models: dict[str, T] = {}
    left_out: dict[str, str] = {}
    for name, reason in scan.skipped.items():
        _leave_out(left_out, name, reason, is_strict=is_strict)
    for folder in scan.folders:
        loaded, reason = try_load(load, folder, path)
        if loaded is None:
            _leave_out(left_out, folder.name, reason, is_strict=is_strict)
        else:
            models[folder.name] = loaded
    if not models:
        raise InvalidModelError(
            f"No model of the repository {path} can be served. "
            + " ".join(f"{name}: {reason}" for name, reason in left_out.items())
        )
    return LoadedModels(models, left_out)


def try_load[T](
    load: Callable[[ModelFolder], T], folder: ModelFolder, repository: Path
) -> tuple[T | None, str]:
    """Loads one model; returns what was made of it, or nothing and why it cannot be served.

    Args:
        load: Makes a folder's model ready.
        folder: The folder.
        repository: That of the repository, which reasons leave out.
    """
    try:
        return load(folder), ""
    except InvalidModelError as error:
        reason = error.message.replace(f"{repository}{os.sep}", "").removeprefix(f"{folder.name}: ")
    except Exception as error:  # any error in one folder, as the others are to be served
        log.exception("model_not_loaded", model=make_printable(folder.name))
        reason = f"It cannot be loaded: {type(error).__name__}: {error}. Check its model.toml."
    return None, reason


def _leave_out(left_out: dict[str, str], name: str, reason: str, *, is_strict: bool) -> None:
    name, reason = make_printable(name), make_printable(reason)
    if is_strict:
        raise InvalidModelError(f"{name}: {reason}")
    left_out[name] = reason
    log.error("model_left_out", model=name, reason=reason)
