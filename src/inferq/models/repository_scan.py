"""What is in the folder of a model repository: models, and what was meant to be one."""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from inferq.errors import InvalidModelError
from inferq.settings import MODEL_NAME_PATTERN
from inferq.terminal import make_printable


@dataclass(frozen=True, slots=True)
class RepositoryScan:
    """What a repository's folder holds.

    Attributes:
        folders: The models' folders, in alphabetical order.
        skipped: Name to reason of what looks like a model, but is not where one is expected.
        other_folders: Names of folders in which nothing looks like a model.
    """

    folders: list[Path]
    skipped: dict[str, str]
    other_folders: list[str]


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
    scan = RepositoryScan([], {}, [])
    names = {entry.name for entry in entries}
    for entry in entries:
        if os.path.lexists(entry / "model.onnx"):
            scan.folders.append(entry)
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
