"""submit: POST /predict from 32 connections to one proxy process, without a worker."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks import proxies
from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BODY, BenchmarkError
from benchmarks.rounds import interleave

_SUBJECTS = [
    proxies.INFERQ_PROXY,
    proxies.VALIDATING,
    proxies.PLAIN_ASGI,
    proxies.SEED_ASYNC,
    proxies.SEED_SYNC,
]
_CONNECTIONS = 32
_SECONDS = 6
_QUICK_SECONDS = 2
_WARM_UP_SECONDS = 1
_REQUESTS = re.compile(r"Requests/sec:\s+([\d.]+)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*")


def measure(quick: bool) -> list[Figure]:
    """Takes the measure with wrk."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is not installed: on Debian, apt-get install wrk.")
    seconds = _QUICK_SECONDS if quick else _SECONDS
    results = interleave("submit", _SUBJECTS, quick, lambda name: _measure_service(name, seconds))
    return [figure_of("submit", name, values, "req/s") for name, values in results.items()]


def _measure_service(name: str, seconds: int) -> float:
    with proxies.service(name, worker=False) as port:
        post_requests(port, _WARM_UP_SECONDS)
        return post_requests(port, seconds)


def post_requests(port: int, seconds: int) -> float:
    """Posts requests to a proxy as fast as it answers.

    Args:
        port: Where the proxy listens on loopback.
        seconds: How long.

    Returns:
        Requests per second.

    Raises:
        BenchmarkError: One was refused.
    """
    output = _wrk(port, seconds)
    refused = _REFUSED.search(output)
    found = _REQUESTS.search(output)
    if refused or not found:
        raise BenchmarkError(refused[0] if refused else "wrk printed no rate.")
    return float(found[1])


def _wrk(port: int, seconds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = '{BODY.decode()}'\n"
            "wrk.headers['Content-Type'] = 'application/json'\n"
        )
        command = ["wrk", f"-c{_CONNECTIONS}", "-t1", f"-d{seconds}s", "-s", str(script)]
        return subprocess.run(
            [*command, f"http://127.0.0.1:{port}/predict"],
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=True,
        ).stdout
