"""The HTTP side of inferq, of the seed's endpoints and of the parts alone: one process each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.processes import can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.subjects import INFERQ, SEED

INFERQ_PROXY = "inferq"
SEED_ASYNC = "seed, async endpoint"
SEED_SYNC = "seed, sync endpoint"
VALIDATING = "FastAPI, validates and returns a constant"
PLAIN_ASGI = "plain ASGI, returns a constant"

_APPLICATIONS = {
    SEED_ASYNC: "seed_async",
    SEED_SYNC: "seed_sync",
    VALIDATING: "validating",
    PLAIN_ASGI: "plain_asgi",
}
_WORKERS = {INFERQ_PROXY: INFERQ, SEED_ASYNC: SEED, SEED_SYNC: SEED}


@contextmanager
def service(name: str, *, worker: bool) -> Iterator[int]:
    """Runs one proxy process with a server of its own, both empty.

    uvicorn runs with uvloop and httptools, and without its access log, for all of them.

    Args:
        name: One of the names above.
        worker: Whether a worker process runs beside it.

    Yields:
        The port.
    """
    port = free_port()
    if name == INFERQ_PROXY:
        command = python("-m", "inferq", "proxy", "--port", str(port))
    else:
        application = f"benchmarks.rivals.{_APPLICATIONS[name]}:app"
        options = ("--port", str(port), "--no-access-log", "--log-level", "warning")
        command = python("-m", "uvicorn", application, *options, "--loop", "uvloop", "--http", "httptools")
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        if worker:
            stack.enter_context(program(_WORKERS[name].worker, f"{name}'s worker", url=url))
        # more than a measure can submit: a full queue is refused, which would be measured instead
        settings = {"INFERQ_MAX_QUEUED": "100000000"}
        proxy = stack.enter_context(program(command, f"{name}'s proxy", url=url, settings=settings))
        wait_until(lambda: can_connect(port), f"{name} listens", alive=proxy)
        yield port
