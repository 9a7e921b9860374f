"""`inferq up`: the whole service on this machine, as supervised processes.

What takes long to import is imported when the children are on their way, so that all load side by side.
"""

import asyncio
import errno
import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from contextlib import nullcontext, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, build_opener

from rich.console import Console

from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.local.embedded import DataDirectory, data_directory
from inferq.local.supervisor import Child, Supervisor
from inferq.settings import Settings
from inferq.terminal import printable

if TYPE_CHECKING:
    from inferq.queue.producer.producer import Producer

_STOP_SECONDS = 9.5
_WORKER_STOP_SECONDS = 7.0
_NOTE_SECONDS = 15.0
_LOOK_SECONDS = 0.03


class _Screen(Console):
    """Output that may go away, with a closed terminal or the reader of a pipe, while the service goes on.

    Nothing more is written after the first failure, also where it was a full disk.
    """

    def say(self, line: str) -> None:
        try:
            self.print(printable(line), markup=False)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # for what is still in the buffer when the process ends
        os.close(nowhere)


screen = _Screen(highlight=False, soft_wrap=True, emoji=False)
_direct = build_opener(ProxyHandler({}))  # http_proxy and the like are not meant for our own proxy


def up(settings: Settings, *, host: str, port: int, workers: int, proxies: int, embedded: bool) -> None:
    """Runs the service until Ctrl-C or SIGTERM.

    Args:
        settings: All settings; `redis_url` counts only for an outside server.
        host: Address of the proxy.
        port: Port of the proxy.
        workers: Number of worker processes.
        proxies: Number of proxy processes, on the same port.
        embedded: Whether to start a server of our own.

    Raises:
        InferqError: It cannot start; the message says why.
    """
    started = time.monotonic() - _process_age()
    _check_port(host, port)
    with data_directory(settings.data_dir) if embedded else nullcontext() as directory:
        asyncio.run(_Up(settings, host, port, workers, proxies, directory).run(started))


class _Up:
    def __init__(
        self,
        settings: Settings,
        host: str,
        port: int,
        workers: int,
        proxies: int,
        directory: DataDirectory | None,
    ) -> None:
        self._directory = directory
        self._redis_port = _free_port(port) if directory else 0
        url = f"redis://127.0.0.1:{self._redis_port}/0" if directory else settings.redis_url
        self._settings = settings.model_copy(update={"redis_url": url})
        self._host, self._port = host, port
        self._unavailable: dict[str, str] = {}
        self._workers = [f"worker-{number}" for number in range(1, workers + 1)]
        self._proxies = ["proxy"] if proxies == 1 else [f"proxy-{number}" for number in range(1, proxies + 1)]
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        self._proxy_url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    async def run(self, started: float) -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # as nohup wants it
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        if not self._directory:
            await self._check_outside_server()
        supervisor = Supervisor(_echo)
        try:
            await self._start(supervisor, told)
            if not told.is_set():
                await self._print_ready(time.monotonic() - started)
                await told.wait()
        finally:
            if supervisor.is_ready:
                screen.say("Stopping …")
            await supervisor.stop(_STOP_SECONDS)
        screen.say("Stopped.")

    async def _start(self, supervisor: Supervisor, told: asyncio.Event) -> None:
        environment = os.environ | {
            "INFERQ_REDIS_URL": self._settings.redis_url,
            "INFERQ_MODELS_DIR": str(self._settings.models_dir),
            "INFERQ_SHUTDOWN_SECONDS": str(min(_WORKER_STOP_SECONDS, self._settings.shutdown_seconds)),
            "PYTHONUNBUFFERED": "1",
        }
        if not self._settings.model_threads:
            cores = os.process_cpu_count() or 1
            environment["INFERQ_MODEL_THREADS"] = str(max(1, cores // len(self._workers)))
        if self._settings.log_format == "auto":
            environment["INFERQ_LOG_FORMAT"] = "console"  # no child has a terminal, but people read this one
        python = [sys.executable, "-P", "-m"]  # -P: files in the current folder are no modules of ours
        if self._directory:
            folder = str(self._directory.server_folder)
            command = [*python, "inferq.local.embedded", folder, str(self._redis_port)]
            supervisor.start(Child("valkey", command, environment, [self._directory.lock]))
            await self._until_done(self._forget_models(), supervisor, told)
        proxy = [*python, "inferq", "proxy", "--host", self._host, "--port", str(self._port)]
        if len(self._proxies) > 1:
            proxy.append("--share-port")
        for name in self._proxies:
            supervisor.start(Child(name, proxy, environment))
        workers = [Child(name, [*python, "inferq.worker.main"], environment) for name in self._workers]
        for worker in workers:
            supervisor.start(worker)
        await asyncio.sleep(0)  # lets them begin
        if await self._until_done(self._become_ready(workers), supervisor, told):
            supervisor.is_ready = True

    async def _check_outside_server(self) -> None:
        from inferq.queue.redis_client.connection import connect, masked_url, redis_errors, start_errors

        client = connect(self._settings)
        try:
            with start_errors(), redis_errors():
                await asyncio.to_thread(client.ping)
        except RedisUnavailableError as error:
            raise InvalidSettingError(
                f"The Redis server {masked_url(self._settings.redis_url)} cannot be used: {error.message} "
                "Start it, or leave --redis-url out to use the embedded one."
            ) from error
        finally:
            client.close()

    async def _until_done(
        self, work: Coroutine[Any, Any, None], supervisor: Supervisor, told: asyncio.Event
    ) -> bool:
        """Waits for work that needs the children, and returns whether it was done before a signal came.

        Raises:
            InferqError: A child did not start; the message says why.
        """
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(told.wait())
        waits: list[asyncio.Future[Any]] = [working, stopped, supervisor.failure]
        done: set[asyncio.Future[Any]] = set()
        while not done:  # however long: a large model or a long append-only file takes its time
            done, _ = await asyncio.wait(waits, timeout=_NOTE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                _echo("up", "still waiting for Redis, the proxy and all workers to report themselves")
        working.cancel()
        stopped.cancel()
        for task in done:
            task.result()  # raises why a child did not start
        return working in done

    async def _become_ready(self, workers: list[Child]) -> None:
        from inferq.queue.producer.producer import Producer

        producer = Producer.from_settings(self._settings)
        try:
            while not await self._is_ready(producer, workers):  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await producer.close()

    async def _forget_models(self) -> None:
        """Drops what earlier workers announced: all that will serve this server are yet to start."""
        from inferq.queue.producer.producer import Producer

        producer = Producer.from_settings(self._settings)
        try:
            while True:
                with suppress(RedisUnavailableError):
                    await producer.forget_models()
                    return
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await producer.close()

    async def _is_ready(self, producer: "Producer", workers: list[Child]) -> bool:
        from inferq.queue.inspection.stats import find_unavailable

        host = socket.gethostname()
        try:
            live = await producer.live_workers()
            pids = {worker.pid for worker in live if worker.host == host}
            # ours, not merely as many: an outside server may have workers already
            if not all(worker.process and worker.process.pid in pids for worker in workers):
                return False
            await asyncio.to_thread(self._get, "/health/ready")
        except (RedisUnavailableError, OSError, HTTPException):
            return False
        self._unavailable = find_unavailable(live)
        return True

    def _get(self, path: str) -> bytes:
        with _direct.open(self._proxy_url + path, timeout=2) as answer:
            body: bytes = answer.read()
        return body

    def _print_places(self) -> None:
        from inferq.queue.redis_client.connection import masked_url

        settings = self._settings
        redis = masked_url(settings.redis_url)
        places = {"Proxy": self._proxy_url, "API": f"{self._proxy_url}/docs", "Redis": redis}
        if self._directory:
            places["Data"] = str(settings.data_dir.resolve())
        places |= {"Models": str(settings.models_dir.resolve()), "Workers": str(len(self._workers))}
        for name, place in places.items():
            screen.say(f"{name:<8} {place}")
        for name, reason in self._unavailable.items():
            screen.say(f"Left out {name}: {reason}")

    async def _print_ready(self, seconds: float) -> None:
        self._print_places()
        screen.say(f"Ready in {seconds:.1f} s. Try:")
        if self._settings.api_keys:
            screen.say(f"  curl -H 'Authorization: Bearer KEY' {self._proxy_url}/models")
            return
        example = None
        try:
            example = json.loads(await asyncio.to_thread(self._get, "/metadata"))["example"]
        except (OSError, HTTPException):
            name = self._settings.default_model
            screen.say(f"  (requests must name a model: the default, {name!r}, is not among those served)")
        if example is None:
            screen.say(f"  curl {self._proxy_url}/models")
            return
        body = shlex.quote(json.dumps({"data": example}))
        screen.say(
            f"  curl -X POST {self._proxy_url}/predict -H 'Content-Type: application/json' -d {body}",
        )
        screen.say(f"  curl {self._proxy_url}/job/JOB_ID")


def _echo(name: str, line: str) -> None:
    screen.say(f"{name:<8} | {line}")


def _process_age() -> float:
    """Seconds since this process began, its imports included; 0 where /proc does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        remedy = "port with --port" if is_port else "address with --host"
        raise InvalidSettingError(
            f"The proxy cannot listen on {host}:{port}: {error.strerror}. Choose another {remedy}."
        ) from error


def _free_port(but: int) -> int:
    """A port of loopback that nobody listens on, and that is not the one that the proxy will."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port if port != but else _free_port(but)
