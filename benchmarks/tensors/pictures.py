"""pictures: one picture of 0.6 MB by 16 callers, through inferq and through its peers."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BenchmarkError, wait_until
from benchmarks.rounds import rounds, tell
from benchmarks.tensors.callers import CallerLoad, Connection, put_caller_load
from benchmarks.tensors.model_servers import SERVERS, ModelServer, RunningServer
from benchmarks.tensors.payloads import Array, is_right, make_pictures
from benchmarks.tensors.tensor_models import CNN, PICTURE, TRIVIAL

TRIVIAL_MODEL, CNN_MODEL = "trivial model", "CNN"
_MEASURES = {TRIVIAL: TRIVIAL_MODEL, CNN: CNN_MODEL}
_VALUES: dict[str, tuple[str, Callable[[CallerLoad], float]]] = {
    "": ("req/s", lambda load: load.per_second),
    ", p50": ("ms", lambda load: load.p50_ms),
    ", p99": ("ms", lambda load: load.p99_ms),
    ", processor time": ("ms", lambda load: load.cpu_ms),
    ", memory": ("MB", lambda load: load.peak_bytes / 1e6),
}
_CALLERS = 16
_SECONDS, _WARM_UP_SECONDS = 3.0, 1.5
_QUICK_SECONDS, _QUICK_WARM_UP_SECONDS = 1.5, 0.7
_LONGEST_FIRST_ANSWER_SECONDS = 60.0
_BUSY = 0.9


def measure(
    models: Path, quick: bool, servers: Sequence[ModelServer] = SERVERS
) -> tuple[list[Figure], dict[str, str]]:
    """Puts the load on each server, in turns.

    Args:
        models: The folder of the models.
        quick: Whether one short round is enough.
        servers: Which servers.

    Returns:
        The figures, and why a server was not measured, by its name.
    """
    loads: dict[tuple[str, str], list[CallerLoad]] = {}
    failures: dict[str, str] = {}
    for _ in range(rounds(quick)):
        for server in servers:
            if server.name in failures:
                continue
            try:
                for model, load in _put_loads(server, models, quick):
                    tell(f"{_MEASURES[model]}: {server.name} {load}")
                    loads.setdefault((model, server.name), []).append(load)
            except Exception as error:  # noqa: BLE001 - told in the report; the other servers go on
                failures[server.name] = describe_failure(error)
                tell(f"[red]{server.name} was not measured[/]")
    figures = [
        figure_of(_MEASURES[model] + suffix, name, [value(load) for load in found], unit)
        for (model, name), found in loads.items()
        for suffix, (unit, value) in _VALUES.items()
    ]
    return figures, failures


def describe_failure(error: Exception) -> str:
    """Why something was not measured: the error, and what the programs have said."""
    kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
    return "\n".join([f"{kind}{error}", *getattr(error, "__notes__", ())])


def _put_loads(server: ModelServer, models: Path, quick: bool) -> Sequence[tuple[str, CallerLoad]]:
    picture = make_pictures(1, *PICTURE)
    found = []
    with server.start(models) as running:
        for model in server.models:
            wait_for_answer(running, server.dialect.write(model, picture))
        for model in server.models:
            load = put_caller_load(
                running.port,
                server.dialect.write(model, picture),
                callers=_CALLERS,
                warm_up=_QUICK_WARM_UP_SECONDS if quick else _WARM_UP_SECONDS,
                seconds=_QUICK_SECONDS if quick else _SECONDS,
                roots=running.roots,
                check=partial(_is_right, server, model, picture),
            )
            if load.busy > _BUSY:
                tell(f"[yellow]the callers took {load.busy:.0%} of a processor and may be the limit[/]")
            found.append((model, load))
    return found


def _is_right(server: ModelServer, model: str, picture: Array, body: bytes) -> bool:
    return is_right(model, picture, server.dialect.read(body))


def wait_for_answer(running: RunningServer, request: bytes) -> None:
    """Waits until a server answers a request: it may listen before it has loaded its models."""
    refused: list[str] = []

    def is_answered() -> bool:
        connection = None
        try:
            connection = Connection(running.port)
            connection.ask(request)
        except (BenchmarkError, OSError) as error:
            refused.append(str(error))
            time.sleep(0.2)
            return False
        finally:
            if connection is not None:
                connection.close()
        return True

    try:
        wait_until(is_answered, "the server answers", seconds=_LONGEST_FIRST_ANSWER_SECONDS)
    except BenchmarkError as error:
        raise BenchmarkError(f"{error} Its last answer: {refused[-1]}") from error
