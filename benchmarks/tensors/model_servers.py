"""Who takes part: inferq in three ways, a synchronous endpoint as the floor, and other servers of models."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis

from benchmarks.processes import (
    can_connect,
    free_port,
    program,
    python,
    redis_server,
    wait_until,
)
from benchmarks.tensors.payloads import JOB_JSON, PLAIN_JSON, RAW, V2_BINARY, V2_JSON, Dialect
from benchmarks.tensors.peer_environment import prepare_python
from benchmarks.tensors.peers.sessions import MODELS_VARIABLE, PORT_VARIABLE, PROCESSES
from benchmarks.tensors.process_tree import end_rest, list_tree
from benchmarks.tensors.tensor_models import CNN, TRIVIAL

FOLDER, IN_REDIS, JSON = "inferq, folder store", "inferq, in Redis", "inferq, JSON"
FLOOR, FLOOR_JSON = "FastAPI inline", "FastAPI inline, JSON"
TRITON, BENTOML, LITSERVE = "Triton (pytriton)", "BentoML", "LitServe"
MLSERVER, RAY = "MLServer, JSON", "Ray Serve"

_LONGEST_START_SECONDS = 60.0
_LONGEST_BODY, _MOST_BYTES = "300000000", "20000000000"
_QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else each of Ray's processes makes an environment of this project
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class RunningServer:
    """A server that listens.

    Attributes:
        port: On loopback.
        roots: Its processes, with those below them.
        proxy: The one that has the port.
        workers: Those that run models, if they are others.
        url: Of its Redis; empty if there is none.
    """

    port: int
    roots: tuple[int, ...]
    proxy: int
    workers: tuple[int, ...] = ()
    url: str = ""


type Start = Callable[[Path], AbstractContextManager[RunningServer]]


@dataclass(frozen=True)
class ModelServer:
    """A server of models.

    Attributes:
        name: As the tables call it.
        start: Starts it, with the folder of the models.
        dialect: How it is asked.
        models: Which models it is asked for.
    """

    name: str
    start: Start
    dialect: Dialect
    models: tuple[str, ...] = (TRIVIAL, CNN)


@contextmanager
def start_inferq(
    models: Path, *, has_store: bool, settings: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Runs a proxy process, two workers with a thread each, and a server of Redis's of their own.

    Args:
        models: The folder of the models.
        has_store: Whether large values lie in a folder, and not in Redis.
        settings: More settings.
    """
    with ExitStack() as stack:
        port = free_port()
        chosen = {
            "INFERQ_MODELS_DIR": str(models),
            "INFERQ_DEFAULT_MODEL": TRIVIAL,
            "INFERQ_MODEL_THREADS": "1",
            "INFERQ_MAX_BODY_BYTES": _LONGEST_BODY,
            "INFERQ_MAX_INFLIGHT_BYTES": _MOST_BYTES,
            "INFERQ_MAX_QUEUED_BYTES": _MOST_BYTES,
            **(settings or {}),
        }
        if has_store:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="inferq-benchmark-"))
            chosen["INFERQ_BLOB_STORE"] = f"file://{folder}"
        url = stack.enter_context(redis_server())

        def run(name: str, *arguments: str) -> int:
            command = python("-m", "inferq", *arguments)
            return stack.enter_context(program(command, name, url=url, settings=chosen)).pid

        workers = [run("the worker", "worker") for _ in range(PROCESSES)]
        proxy = run("the proxy", "proxy", "--port", str(port))
        client = stack.enter_context(redis.Redis.from_url(url))
        wait_until(lambda: can_connect(port), "the proxy listens")
        wait_until(lambda: client.zcard("workers") == PROCESSES, "the workers report")
        server = int(client.info("server")["process_id"])
        yield RunningServer(port, (proxy, *workers, server), proxy, tuple(workers), url)


@contextmanager
def _start_floor(models: Path) -> Iterator[RunningServer]:
    """Runs the synchronous endpoint, in as many processes as run models elsewhere."""
    port = free_port()
    application = "benchmarks.tensors.peers.fastapi_server:app"
    options = ("--workers", str(PROCESSES), "--no-access-log", "--log-level", "warning")
    command = python("-m", "uvicorn", application, "--port", str(port), *options)
    with _run_tree(command, "FastAPI", port, models) as running:
        yield running


@contextmanager
def _start_peer(models: Path, *, environment: str, arguments: Sequence[str]) -> Iterator[RunningServer]:
    """Runs a peer with the Python of its own environment.

    Args:
        models: The folder of the models.
        environment: A key of `ENVIRONMENTS`.
        arguments: Of Python; `{port}` stands for the port.
    """
    port = free_port()
    found = [argument.format(port=port) for argument in arguments]
    command = [prepare_python(environment), *found]
    with _run_tree(command, environment, port, models) as running:
        yield running


@contextmanager
def _run_tree(command: Sequence[str], name: str, port: int, models: Path) -> Iterator[RunningServer]:
    settings = {**_QUIET, MODELS_VARIABLE: str(models), PORT_VARIABLE: str(port)}
    tree: dict[int, int] = {}
    try:
        with program(command, name, settings=settings) as process:
            wait_until(
                lambda: can_connect(port), f"{name} listens", seconds=_LONGEST_START_SECONDS, alive=process
            )
            try:
                yield RunningServer(port, (process.pid,), process.pid)
            finally:
                tree = list_tree([process.pid])
    finally:
        end_rest(tree)


def _start_module(environment: str, *arguments: str) -> Start:
    module = f"benchmarks.tensors.peers.{environment}_server"
    return partial(_start_peer, environment=environment, arguments=("-m", module, *arguments))


_BENTOML = (
    *("-m", "bentoml", "serve", "benchmarks.tensors.peers.bentoml_server:BentoModels"),
    *("--host", "127.0.0.1", "--port", "{port}"),
)

SERVERS = (
    ModelServer(FOLDER, partial(start_inferq, has_store=True), V2_BINARY),
    ModelServer(IN_REDIS, partial(start_inferq, has_store=False), V2_BINARY),
    ModelServer(JSON, partial(start_inferq, has_store=False), JOB_JSON),
    ModelServer(FLOOR, _start_floor, RAW),
    ModelServer(FLOOR_JSON, _start_floor, PLAIN_JSON, (TRIVIAL,)),
    ModelServer(TRITON, _start_module("pytriton"), V2_BINARY),
    ModelServer(BENTOML, partial(_start_peer, environment="bentoml", arguments=_BENTOML), RAW),
    ModelServer(LITSERVE, _start_module("litserve"), RAW),
    ModelServer(MLSERVER, _start_module("mlserver", "0"), V2_JSON, (TRIVIAL,)),
    ModelServer(MLSERVER, _start_module("mlserver", str(PROCESSES)), V2_JSON, (CNN,)),
    ModelServer(RAY, _start_module("ray"), RAW),
)
"""MLServer runs the trivial model best in its own process, and the CNN in processes of its own."""
