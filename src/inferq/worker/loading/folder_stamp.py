"""By what is seen that the files of a model have changed."""

import hashlib
import socket
import tomllib
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from inferq.errors import InvalidModelError
from inferq.models.config import read_config
from inferq.models.repository.repository_scan import ModelFolder
from inferq.rollout import Rollout

_MOST_FILES = 10_000


def make_stamp(folder: ModelFolder, limit_seconds: float) -> str:
    """Returns a digest that changes with the files of a model, and with what else decides whether it loads.

    Args:
        folder: Its folder.
        limit_seconds: How long it may take.
    """
    files = []
    for path in (*islice(sorted(folder.path.rglob("*")), _MOST_FILES), *_find_shared_libraries(folder)):
        with suppress(OSError):
            files.append(_describe(path))
    shared = _read_shared(folder.path.parent / "model.toml") if folder.version else None
    text = repr((socket.gethostname(), limit_seconds, str(folder.path.absolute()), files, shared))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _describe(path: Path) -> tuple[str, int, int, int, int, int, int]:
    state = path.stat()
    # a file that is moved over another may have its size and time, but is another one
    # and one that could not be read is tried again once its permissions have changed
    access = state.st_mode, state.st_uid, state.st_gid
    return str(path), state.st_size, state.st_mtime_ns, state.st_ino, *access


def _find_shared_libraries(folder: ModelFolder) -> list[Path]:
    """Returns where libraries of custom operators are, or would be, that a version has from its model."""
    if not folder.version:
        return []  # they are among its files
    parent = folder.path.parent
    with suppress(InvalidModelError):
        table = read_config(folder.path / "model.toml", parent / "model.toml").custom_ops
        return [parent / name for name in table.libraries] if table else []
    return []


def _read_shared(path: Path) -> object:
    """Returns what a model.toml says of all versions, but for the rollout, which needs no version anew.

    One that is not valid keeps every version from being loaded, so that they are tried again without it.
    """
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return repr(error)
    with suppress(ValidationError):
        Rollout.model_validate(keys.get("rollout", {}))
        keys.pop("rollout", None)
    return keys
