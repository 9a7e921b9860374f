"""The real processes of a run: a server, workers and proxies; the dead are started again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from inferq.processes import PARENT_VARIABLE
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings
from tests.chaos.backends import Backend
from tests.servers import ObjectServer, free_port

ROOT = Path(__file__).parents[2]


class Child:
    """A program that is started again whenever it has died.

    Args:
        name: For its log file and messages.
        command: What follows `python -m`.
        environment: Gives the environment for each start.
        folder: Where the log is.
    """

    def __init__(
        self, name: str, command: list[str], environment: Callable[[], dict[str, str]], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.exits: Counter[int] = Counter()
        self.is_frozen = False
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the present process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the program. To be called by the main thread: it ends with the thread that started it."""
        self.is_frozen = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def has_died(self) -> bool:
        """Whether the program is no longer there; counts its exit code."""
        if self._process is None or self._process.poll() is None:
            return False
        self.exits[self._process.returncode] += 1
        self._process = None
        return True

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if there is a process to take it."""
        if self._process is not None and self._process.poll() is None:
            self.is_frozen = number is signal.SIGSTOP or (self.is_frozen and number is not signal.SIGCONT)
            self._process.send_signal(number)

    def end(self, timeout: float) -> int | None:
        """Tells the program to stop; kills it if it does not.

        Returns:
            Its exit code; None if it had to be killed, or was not there.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        if self.is_frozen:
            process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None


class Cluster:
    """All processes of a run.

    Args:
        backend: The servers.
        seed: Decides when workers die.
        workers: How many.
        proxies: How many.
        settings: Settings of inferq, by field name.
        chaos: What `worker_entry` reads, without CHAOS_.
        has_object_store: Whether blobs lie in a bucket instead of in a folder.

    Attributes:
        shards: The settings of each shard, as this process reaches it.
    """

    def __init__(
        self,
        backend: Backend,
        seed: int,
        workers: int,
        proxies: int,
        settings: Mapping[str, object],
        chaos: Mapping[str, object],
        *,
        has_object_store: bool = False,
    ) -> None:
        self.backend = backend
        self.folder = backend.folder
        self.tally = self.folder / "tally"
        self.models_dir = self.folder / "models"
        self.object_server: ObjectServer | None = None
        self.blob_store = (self.folder / "blobs").as_uri()
        if has_object_store:
            self.object_server = ObjectServer([free_port() for _ in range(10)])
            self.blob_store = "s3://inferq-test/chaos"
        self.unexpected: list[str] = []
        self.shards = split_settings(Settings(**backend.settings, blob_store=self.blob_store))  # type: ignore[arg-type]
        self._seed = seed
        self._starts = 0
        self._is_stopping = False
        self._settings = {
            **backend.settings,
            "log_format": "json",
            "models_dir": self.models_dir,
            "blob_store": self.blob_store,
            **settings,
        }
        self.chaos = {"tally": self.tally, **chaos}
        self.urls = [f"http://127.0.0.1:{free_port()}" for _ in range(proxies)]
        self.workers = [
            Child(f"worker-{number}", ["tests.chaos.worker_entry"], self._environment, self.folder)
            for number in range(workers)
        ]
        self.proxies = [
            Child(
                f"proxy-{number}",
                ["inferq", "proxy", "--port", url.rpartition(":")[2]],
                self._environment,
                self.folder,
            )
            for number, url in enumerate(self.urls)
        ]

    def __enter__(self) -> Self:
        try:
            self.backend.start()
            if self.object_server:
                self.object_server.start()
            for child in self.children():
                child.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def children(self) -> Iterator[Child]:
        """Workers and proxies."""
        yield from self.workers
        yield from self.proxies

    def _environment(self) -> dict[str, str]:
        self._starts += 1
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INFERQ_")}
        settings = {f"INFERQ_{name.upper()}": str(value) for name, value in self._settings.items()}
        chaos = {f"CHAOS_{name.upper()}": str(value) for name, value in self.chaos.items()}
        if self.object_server:
            settings |= self.object_server.environment
        parent = {PARENT_VARIABLE: str(os.getpid()), "CHAOS_SEED": f"{self._seed}-{self._starts}"}
        return inherited | settings | chaos | parent

    def restart_dead(self) -> None:
        """Starts again what has died."""
        if self._is_stopping:
            return
        for child in self.children():
            if child.has_died():
                child.start()

    def check_exits(self) -> None:
        """Notes programs that ended by themselves: only -9, and 0 after SIGTERM, are of our making."""
        for child in self.children():
            for code, times in child.exits.items():
                if code not in (-signal.SIGKILL, -signal.SIGTERM, 0):
                    self.unexpected.append(
                        f"{child.name} ended {times} times with code {code}: {self._tail(child)}"
                    )

    def _tail(self, child: Child) -> str:
        return child.log.read_text(errors="replace")[-600:]

    async def replace_workers(self, timeout: float = 60.0) -> None:
        """Stops all workers as an operator does, and starts new ones."""
        await asyncio.to_thread(self.stop, self.workers, timeout)
        for child in self.workers:
            child.start()
        self._is_stopping = False

    def stop(self, children: list[Child], timeout: float = 60.0) -> None:
        """Stops programs with SIGTERM; notes those that do not end with code 0 in time."""
        self._is_stopping = True
        for child in children:
            child.send(signal.SIGCONT)
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        for child in children:
            code = child.end(max(0.1, deadline - time.monotonic()))
            # a signal in the first moments meets the interpreter, not yet our handler
            if code not in (0, -signal.SIGTERM, -signal.SIGKILL):
                self.unexpected.append(f"{child.name} did not stop within {timeout:g} s: {self._tail(child)}")

    def keep(self) -> Path:
        """Sees to it that logs, tally, journal and the server's file are there after the end.

        Returns:
            Where they will be.
        """
        self.folder = self.folder.rename(self.folder.with_name(f"{self.folder.name}-violated"))
        return self.folder

    def end(self) -> None:
        """Ends everything at once."""
        for child in self.children():
            child.send(signal.SIGKILL)
            child.end(5.0)
        self.backend.stop()
        if self.object_server:
            self.object_server.stop()
