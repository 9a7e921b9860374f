"""What is in the folder of a model repository: models, their versions, and what was meant to be one."""

import errno
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from inferq.errors import InvalidModelError
from inferq.model_names import MODEL_NAME_PATTERN, QueueName, order_version
from inferq.terminal import make_printable


class ModelFolder(NamedTuple):
    """A folder with a `model.onnx`.

    Attributes:
        path: The folder.
        model: Name of the model.
        version: Name of the version, which is that of the folder; empty where the model has no such folders.
    """

    path: Path
    model: str
    version: str = ""

    @classmethod
    def locate(cls, path: Path, version: str) -> Self:
        """Returns a folder whose path is known, and of which version it is; none if that is empty."""
        return cls(path, (path.parent if version else path).name, version)

    @property
    def name(self) -> str:
        """What names it in queues and messages: `iris`, or `iris@2`."""
        return str(QueueName(self.model, self.version))


@dataclass(frozen=True, slots=True)
class RepositoryScan:
    """What a repository's folder holds.

    Attributes:
        folders: The models' folders, in alphabetical order, and those of versions, the newest last.
        skipped: Name to reason of what looks like a model, but is not where one is expected.
        other_folders: Names of folders in which nothing looks like a model.
    """

    folders: list[ModelFolder] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    other_folders: list[str] = field(default_factory=list)


def scan_repository(path: Path) -> RepositoryScan:
    """Finds the models in a repository's folder; hidden files and folders are ignored.

    Args:
        path: The repository's folder.

    Raises:
        InvalidModelError: It is no folder, or cannot be read.
    """
    try:
        entries = [entry for entry in _list_sorted(path) if not entry.name.startswith(".")]
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
    scan = RepositoryScan()
    names = {entry.name for entry in entries}
    for entry in entries:
        versions = _find_versions(entry)
        if os.path.lexists(entry / "model.onnx"):
            _add_flat(scan, entry, versions)
        elif versions:
            _add_versions(scan, entry, versions)
        elif (reason := _explain_skip(entry)) is not None:
            name = entry.stem if entry.suffix == ".onnx" and entry.stem not in names else entry.name
            scan.skipped[name] = reason
        elif entry.is_dir():
            scan.other_folders.append(make_printable(entry.name))
    return scan


def _list_sorted(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    if not os.access(folder, os.X_OK):  # names can be read, but nothing else
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return entries


def _find_versions(entry: Path) -> list[Path]:
    """Returns the folders of versions in a model's folder; a link to another of them is none of its own."""
    try:
        folders = [folder for folder in _list_sorted(entry) if os.path.lexists(folder / "model.onnx")]
        own = entry.resolve()
        return [folder for folder in folders if not (folder.is_symlink() and folder.resolve().parent == own)]
    except OSError:  # it need not be listed to be served; else that is told of it elsewhere
        return []


def _add_flat(scan: RepositoryScan, entry: Path, versions: list[Path]) -> None:
    named = [folder.name for folder in versions if not folder.name.startswith(".")]
    if named:
        scan.skipped[entry.name] = (
            f"It has a model.onnx, and folders of versions ({', '.join(named[:3])}) beside it. Move the file "
            f"with what belongs to it to {Path(entry.name) / 'VERSION' / 'model.onnx'}, or remove one or the "
            "other."
        )
    else:
        scan.folders.append(ModelFolder(entry, entry.name))


def _add_versions(scan: RepositoryScan, entry: Path, versions: list[Path]) -> None:
    for folder in sorted(entry.iterdir(), key=lambda folder: order_version(folder.name)):
        name = f"{entry.name}@{folder.name}"
        if folder.name.startswith(".") or (
            folder.is_symlink() and folder not in versions and folder.exists()
        ):
            continue
        if folder in versions and re.fullmatch(MODEL_NAME_PATTERN, folder.name):
            scan.folders.append(ModelFolder(folder, entry.name, folder.name))
        elif folder in versions:
            scan.skipped[name] = (
                f"{folder.name!r} is no name for a version. Expected up to 64 letters, digits, dots, "
                "underscores and hyphens, beginning with a letter or digit; rename the folder."
            )
        elif (folder.is_symlink() or folder.is_dir()) and (reason := _explain_skip(folder)) is not None:
            scan.skipped[name] = reason


def _explain_skip(entry: Path) -> str | None:
    """Returns why an entry that looks like a model is none, and what to do; None for any other entry."""
    expected = Path(entry.stem if entry.suffix == ".onnx" else entry.name) / "model.onnx"
    if entry.is_symlink() and not entry.exists():
        return f"It is a link to {entry.readlink()}, which is not there. Correct or remove the link."
    if not entry.is_dir():
        if entry.suffix != ".onnx":
            return None
        if entry.name == "model.onnx":
            return "It has no folder of its own. Move it to NAME/model.onnx, NAME being the model's name."
        return f"It has no folder of its own. Move it to {expected}."
    try:
        files = [file.name for file in _list_sorted(entry)]
        found = next((name for name in files if name.lower().endswith(".onnx")), None)
        found = found or next((str(file.relative_to(entry)) for file in entry.glob("*/*.onnx")), None)
    except OSError as error:
        # such as lost+found, which many mounted volumes have
        is_name = re.fullmatch(MODEL_NAME_PATTERN, entry.name)
        return f"It cannot be read: {error.strerror}. Check its permissions." if is_name else None
    if found is not None:
        return f"It has no model.onnx, but {found}. Move that to {expected}."
    return f"It has a model.toml, but no model.onnx. Add {expected}." if "model.toml" in files else None
