"""`inferq up`: the whole service on this machine, as supervised processes."""

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from rich.console import Console

from inferq.embedded import data_directory
from inferq.jobs import InvalidSettingError, RedisUnavailableError
from inferq.queue.connection import masked_url
from inferq.queue.producer import Producer
from inferq.settings import Settings
from inferq.supervisor import Child, Supervisor

_STOP_SECONDS = 9.5
_WORKER_STOP_SECONDS = 7.0
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.03

console = Console(highlight=False, soft_wrap=True)


def up(settings: Settings, *, host: str, port: int, workers: int, embedded: bool) -> None:
    """Runs the service until Ctrl-C or SIGTERM.

    Args:
        settings: All settings; `redis_url` counts only for an outside server.
        host: Address of the proxy.
        port: Port of the proxy.
        workers: Number of worker processes.
        embedded: Whether to start a server of our own.

    Raises:
        InferqError: It cannot start; the message says why.
    """
    started = time.monotonic()
    _check_port(host, port)
    with data_directory(settings.data_dir) if embedded else nullcontext() as server_folder:
        asyncio.run(_Up(settings, host, port, workers, server_folder).run(started))


class _Up:
    def __init__(
        self, settings: Settings, host: str, port: int, workers: int, server_folder: Path | None
    ) -> None:
        self._server_folder = server_folder
        self._redis_port = _free_port() if server_folder else 0
        url = f"redis://127.0.0.1:{self._redis_port}/0" if server_folder else settings.redis_url
        self._settings = settings.model_copy(update={"redis_url": url})
        self._host, self._port, self._workers = host, port, workers
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        self._proxy_url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    async def run(self, started: float) -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        if not self._server_folder:
            await self._check_outside_server()
        self._print_places()
        supervisor = Supervisor(_echo)
        try:
            await self._start(supervisor, told)
            if not told.is_set():
                await self._print_ready(time.monotonic() - started)
                await told.wait()
        finally:
            console.print("Stopping …")
            await supervisor.stop(_STOP_SECONDS)
        console.print("Stopped.")

    async def _start(self, supervisor: Supervisor, told: asyncio.Event) -> None:
        environment = os.environ | {
            "INFERQ_REDIS_URL": self._settings.redis_url,
            "INFERQ_MODELS_DIR": str(self._settings.models_dir),
            "INFERQ_SHUTDOWN_SECONDS": str(min(_WORKER_STOP_SECONDS, self._settings.shutdown_seconds)),
            "PYTHONUNBUFFERED": "1",
        }
        environment.setdefault("INFERQ_LOG_FORMAT", "console")
        python = [sys.executable, "-m"]
        if self._server_folder:
            command = [*python, "inferq.embedded", str(self._server_folder), str(self._redis_port)]
            supervisor.start(Child("valkey", command, environment))
        proxy = [*python, "inferq", "proxy", "--host", self._host, "--port", str(self._port)]
        supervisor.start(Child("proxy", proxy, environment))
        for number in range(1, self._workers + 1):
            supervisor.start(Child(f"worker-{number}", [*python, "inferq", "worker"], environment))
        await self._wait_until_ready(supervisor, told)

    async def _check_outside_server(self) -> None:
        producer = Producer.from_settings(self._settings)
        try:
            await producer.ping()
        except RedisUnavailableError as error:
            raise InvalidSettingError(
                f"The Redis server {masked_url(self._settings.redis_url)} cannot be used: {error.message} "
                "Start it, or leave --redis-url out to use the embedded one."
            ) from error
        finally:
            await producer.close()

    async def _wait_until_ready(self, supervisor: Supervisor, told: asyncio.Event) -> None:
        ready = asyncio.create_task(self._become_ready())
        stopped = asyncio.create_task(told.wait())
        waits: list[asyncio.Future[Any]] = [ready, stopped, supervisor.failure]
        done, _ = await asyncio.wait(waits, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stopped.cancel()
        for task in done:
            task.result()  # raises why a child did not start
        if not done:
            raise InvalidSettingError(
                f"The service was not ready within {_START_SECONDS:g} s. Read the lines above."
            )
        supervisor.is_ready = True

    async def _become_ready(self) -> None:
        producer = Producer.from_settings(self._settings)
        try:
            while not await self._is_ready(producer):  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await producer.close()

    async def _is_ready(self, producer: Producer) -> bool:
        try:
            if len(await producer.live_workers()) < self._workers:
                return False
            health = await asyncio.to_thread(self._get, "/health")
        except (RedisUnavailableError, OSError):
            return False
        return bool(json.loads(health)["status"] == "healthy")

    def _get(self, path: str) -> bytes:
        with urlopen(self._proxy_url + path, timeout=2) as answer:  # noqa: S310 - our own address
            body: bytes = answer.read()
        return body

    def _print_places(self) -> None:
        settings = self._settings
        redis = masked_url(settings.redis_url)
        places = {"Proxy": self._proxy_url, "API": f"{self._proxy_url}/docs", "Redis": redis}
        if self._server_folder:
            places["Data"] = str(settings.data_dir.resolve())
        places |= {"Models": str(settings.models_dir.resolve()), "Workers": str(self._workers)}
        for name, place in places.items():
            console.print(f"{name:<8} {place}", markup=False)

    async def _print_ready(self, seconds: float) -> None:
        console.print(f"Ready in {seconds:.1f} s. Try:")
        example = None
        with suppress(OSError):  # the default model is not among those served here
            example = json.loads(await asyncio.to_thread(self._get, "/metadata"))["example"]
        if example is None:
            console.print(f"  curl {self._proxy_url}/models", markup=False)
            return
        body = shlex.quote(json.dumps({"data": example}))
        console.print(
            f"  curl -X POST {self._proxy_url}/predict -H 'Content-Type: application/json' -d {body}",
            markup=False,
        )
        console.print(f"  curl {self._proxy_url}/job/JOB_ID", markup=False)


def _echo(name: str, line: str) -> None:
    console.print(f"{name:<8} | {line}", markup=False)


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise InvalidSettingError(
            f"The proxy cannot listen on {host}:{port}: {error.strerror}. Choose another port with --port."
        ) from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
