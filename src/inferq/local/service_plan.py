"""What `inferq up` starts, and where it listens."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from inferq.blobs import open_store
from inferq.errors import InvalidSettingError
from inferq.local.embedded import DataDirectory
from inferq.local.model_source import ModelSource
from inferq.local.object_server import BUCKET, find_ports, find_program
from inferq.settings import Settings

_URL_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """The service that is to run on this machine.

    Attributes:
        settings: All settings, as the children have them.
        models: The models to serve.
        host: Address that the proxies listen on.
        port: Port that the proxies listen on.
        workers: Number of worker processes, at least 1.
        proxies: Number of proxy processes, at least 1.
        data_directory: The embedded server's data directory; None where an outside server is used.
        redis_port: Port of the embedded server; 0 where an outside server is used.
        object_ports: Ports of the object store, that of its S3 API first; none where none is started.
        proxy_url: Where the proxies are reached from this machine.
    """

    settings: Settings
    models: ModelSource
    host: str
    port: int
    workers: int
    proxies: int
    data_directory: DataDirectory | None
    redis_port: int
    object_ports: Sequence[int]
    proxy_url: str = field(init=False)

    def __post_init__(self) -> None:
        host = _URL_HOSTS.get(self.host, self.host)
        url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        object.__setattr__(self, "proxy_url", url)

    @property
    def object_url(self) -> str:
        """Where the S3 API of the object store is; empty where none is started."""
        return f"http://127.0.0.1:{self.object_ports[0]}" if self.object_ports else ""


def make_plan(
    settings: Settings,
    models: ModelSource,
    *,
    host: str,
    port: int,
    workers: int,
    proxies: int,
    data_directory: DataDirectory | None,
    has_object_store: bool = False,
) -> ServicePlan:
    """Chooses what is still open: port, URL and blob store of the embedded server; the default model.

    Raises:
        InvalidSettingError: An object store is wanted, and cannot be started, or another store is named.
    """
    if has_object_store:
        _check_object_store(settings, data_directory)
    redis_port = _find_free_port(excluded=port) if data_directory else 0
    chosen: dict[str, object] = {"models_dir": models.repository}
    if data_directory:
        chosen["redis_url"] = f"redis://127.0.0.1:{redis_port}/0"
        if has_object_store:
            chosen["blob_store"] = f"s3://{BUCKET}/blobs"
        elif not settings.blob_store:
            chosen["blob_store"] = data_directory.blob_folder.absolute().as_uri()
    if models.only_model:
        chosen["default_model"] = models.only_model
    settings = settings.model_copy(update=chosen)
    object_ports = find_ports() if has_object_store else ()
    return ServicePlan(
        settings, models, host, port, workers, proxies, data_directory, redis_port, object_ports
    )


def _check_object_store(settings: Settings, data_directory: DataDirectory | None) -> None:
    if data_directory is None:
        raise InvalidSettingError(
            "--blobs starts an object store in the data directory, which only a service with an embedded "
            "server has: with --redis-url set INFERQ_BLOB_STORE."
        )
    if settings.blob_store:
        raise InvalidSettingError(
            f"Name the blob store once: either with --blobs, or INFERQ_BLOB_STORE ({settings.blob_store})."
        )
    find_program()
    open_store(f"s3://{BUCKET}")


def check_port(host: str, port: int) -> None:
    """Checks that the proxies can listen.

    Raises:
        InvalidSettingError: They cannot; the message says why, and which option to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        remedy = "port with --port" if is_port else "address with --host"
        raise InvalidSettingError(
            f"The proxy cannot listen on {host}:{port}: {error.strerror}. Choose another {remedy}."
        ) from error


def _find_free_port(excluded: int) -> int:
    """Returns a port of loopback on which nothing listens, other than the one that the proxy will use."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port if port != excluded else _find_free_port(excluded)
