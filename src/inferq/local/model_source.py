"""Which models `inferq up` serves: a repository, one model alone, or the model that comes with inferq."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from inferq.errors import InvalidSettingError
from inferq.model_names import MODEL_NAME_PATTERN
from inferq.settings import Settings

DEFAULT_REPOSITORY = Path(__file__).parent / "default_models"
"""The repository in the package: the iris model, for folders without models of their own."""
_NUMBER = re.compile(r"[vV]?\d+([._-]\d+)*")
"""A name that says that a folder is a version, not a model."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The models to serve.

    Attributes:
        repository: The folder that the workers read.
        description: What a person is told: where the models are.
        only_model: The model's name where one model alone was asked for, else None. It is the default model.
    """

    repository: Path
    description: str
    only_model: str | None = None


@contextmanager
def open_model_source(settings: Settings) -> Iterator[ModelSource]:
    """Finds the models to serve.

    Args:
        settings: `models_dir` may be a model repository, the folder of one model or of one of its versions,
            or an ONNX file. If it is not set and there is no folder `models`, the repository in the package
            is used.

    Yields:
        The models. A repository made for one model alone is removed at the end.

    Raises:
        InvalidSettingError: `models_dir` is none of these.
    """
    path = settings.models_dir
    if "models_dir" not in settings.model_fields_set and not path.exists():
        description = f"{DEFAULT_REPOSITORY} (part of inferq; there is no folder {str(path)!r} here)"
        yield ModelSource(DEFAULT_REPOSITORY, description)
        return
    path = _check_path(path).resolve()
    if path.is_dir() and not (path / "model.onnx").exists() and not _has_versions(path):
        yield ModelSource(path, str(path))
        return
    folder = path.parent if _is_in_model_folder(path) else path
    model = folder.parent if folder.is_dir() and _has_versions(folder.parent) else folder
    name = _name_model(model)
    with TemporaryDirectory(prefix="inferq-") as repository:
        _symlink_model(folder, model, Path(repository) / name)
        yield ModelSource(Path(repository), str(path), name)


def _has_versions(folder: Path) -> bool:
    """Whether a folder is that of a model with versions; a repository has folders with a model.onnx, too."""
    try:
        names = [entry.name for entry in folder.iterdir() if os.path.lexists(entry / "model.onnx")]
    except OSError:  # the folder above need not be readable
        return False
    has_config = os.path.lexists(folder / "model.toml")
    return bool(names) and (has_config or all(_NUMBER.fullmatch(name) for name in names))


def _check_path(path: Path) -> Path:
    if not path.exists():
        raise InvalidSettingError(
            f"There is nothing at {path}. Expected a folder of models (NAME/model.onnx), the folder of one "
            "model or version, or a .onnx file."
        )
    if not path.is_dir() and path.suffix.lower() != ".onnx":
        raise InvalidSettingError(
            f"{path} is no ONNX model. Expected a file whose name ends in .onnx, or a folder of models "
            "(NAME/model.onnx)."
        )
    return path


def _is_in_model_folder(path: Path) -> bool:
    """Whether an ONNX file is named as in a repository, so that its folder is the model."""
    return path.name == "model.onnx"


def _name_model(path: Path) -> str:
    name = path.name if path.is_dir() else path.stem
    if not re.fullmatch(MODEL_NAME_PATTERN, name):
        raise InvalidSettingError(
            f"{path}: {name!r} is no name for a model. Expected up to 64 letters, digits, dots, underscores "
            "and hyphens, beginning with a letter or digit. Rename the file or its folder."
        )
    return name


def _symlink_model(path: Path, model: Path, folder: Path) -> None:
    """Makes a model's folder in a repository, of links: models may be large.

    Args:
        path: The folder of the model, or of one version of it; or an ONNX file.
        model: The folder of the model; or the ONNX file.
        folder: The folder to make.
    """
    if path.is_dir() and path == model:
        folder.symlink_to(path)
        return
    if path.is_dir():
        folder.mkdir()
        (folder / path.name).symlink_to(path)
        for name in ("model.toml", "model.onnx"):  # the latter is refused beside versions
            if (model / name).exists():
                (folder / name).symlink_to(model / name)
        return
    from inferq.models.onnx_files.graph import read_graph

    folder.mkdir()
    (folder / "model.onnx").symlink_to(path)
    for name in read_graph(path).external_files:  # ONNX Runtime takes them from the real folder only
        source, target = path.parent / name, folder / name
        if source.exists() and target.resolve().is_relative_to(folder.resolve()):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
