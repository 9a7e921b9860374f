"""`inferq up`: the whole service on this machine, as supervised processes."""

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from inferq.local.children import make_object_server, make_proxies, make_server, make_workers
from inferq.local.embedded import lock_data_directory
from inferq.local.greeting import print_greeting
from inferq.local.model_source import open_model_source
from inferq.local.object_server import use_object_store
from inferq.local.readiness import (
    check_outside_server,
    forget_models,
    wait_for_object_store,
    wait_until_ready,
)
from inferq.local.screen import screen
from inferq.local.service_plan import ServicePlan, check_port, make_plan
from inferq.local.supervisor import Supervisor
from inferq.settings import Settings

_STOP_SECONDS = 9.5
_NOTICE_SECONDS = 15.0
"""How often a start that takes long says that it goes on."""


def up(
    settings: Settings,
    *,
    host: str,
    port: int,
    workers: int,
    proxies: int,
    embedded: bool,
    has_object_store: bool = False,
) -> None:
    """Runs the service until Ctrl-C or SIGTERM.

    Args:
        settings: All settings. `redis_url` counts only for an outside server; `models_dir` may be the folder
            of one model, or an ONNX file.
        host: Address of the proxy.
        port: Port of the proxy.
        workers: Number of worker processes.
        proxies: Number of proxy processes, on the same port.
        embedded: Whether to start a server of our own.
        has_object_store: Whether to start an object store as well, for payloads.

    Raises:
        InferqError: It cannot start; the message says why.
    """
    started = time.monotonic() - _read_process_age()
    check_port(host, port)
    with (
        open_model_source(settings) as models,
        lock_data_directory(settings.data_dir) if embedded else nullcontext() as directory,
    ):
        plan = make_plan(
            settings,
            models,
            host=host,
            port=port,
            workers=workers,
            proxies=proxies,
            data_directory=directory,
            has_object_store=has_object_store,
        )
        if plan.object_ports:
            use_object_store(plan.object_url)
        asyncio.run(_run(plan, started))


async def _run(plan: ServicePlan, started: float) -> None:
    stop_requested = _catch_signals()
    if not plan.data_directory:
        await check_outside_server(plan.settings)
    supervisor = Supervisor(screen.print_child_line)
    try:
        left_out = await _start(plan, supervisor, stop_requested)
        if left_out is not None:
            await print_greeting(plan, left_out, time.monotonic() - started)
            await stop_requested.wait()
    finally:
        if supervisor.is_ready:
            screen.print_line("Stopping …")
        await supervisor.stop(_STOP_SECONDS)
    screen.print_line("Stopped.")


def _catch_signals() -> asyncio.Event:
    """Returns the event that the first signal to stop sets."""
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            continue  # as nohup wants it
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    return stop_requested


async def _start(
    plan: ServicePlan, supervisor: Supervisor, stop_requested: asyncio.Event
) -> dict[str, str] | None:
    """Starts all children and waits until they are ready.

    Returns:
        The models that cannot be served, name to reason; None where a signal came first.

    Raises:
        InferqError: A child did not start; the message says why.
    """
    server, object_server = make_server(plan), make_object_server(plan)
    if object_server:
        supervisor.start(object_server)
    if server:
        supervisor.start(server)
        # all workers that will serve this server are yet to start
        await _wait_for(forget_models(plan.settings), supervisor, stop_requested)
    if object_server:
        await _wait_for(wait_for_object_store(), supervisor, stop_requested)
    workers = make_workers(plan)
    for child in (*make_proxies(plan), *workers):
        supervisor.start(child)
    await asyncio.sleep(0)  # lets them begin
    left_out = await _wait_for(wait_until_ready(plan, workers), supervisor, stop_requested)
    supervisor.is_ready = left_out is not None
    return left_out


async def _wait_for[T](
    work: Coroutine[Any, Any, T], supervisor: Supervisor, stop_requested: asyncio.Event
) -> T | None:
    """Waits for work that needs the children.

    Returns:
        Its result; None where a signal came first.

    Raises:
        InferqError: A child did not start; the message says why.
    """
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop_requested.wait())
    waits: list[asyncio.Future[Any]] = [working, stopped, supervisor.failure]
    done: set[asyncio.Future[Any]] = set()
    while not done:  # however long: a large model or a long append-only file takes its time
        done, _ = await asyncio.wait(waits, timeout=_NOTICE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            screen.print_child_line(
                "up", "still waiting for Redis, the proxy and all workers to report themselves"
            )
    working.cancel()
    stopped.cancel()
    for task in done:
        task.result()  # raises why a child did not start
    return working.result() if working in done else None


def _read_process_age() -> float:
    """Returns the seconds since this process began, its imports included; 0 where /proc does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
