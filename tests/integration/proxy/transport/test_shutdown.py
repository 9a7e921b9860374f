"""What clients that wait see when the proxy is told to stop: real processes, real signals."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.proxy.answers import DATA
from tests.integration.proxy.routes.test_events import Stream
from tests.integration.proxy.test_server import answers
from tests.servers import free_port, wait_until

COMMANDS = {
    "inferq proxy": ("inferq", "proxy"),
    "uvicorn": ("uvicorn", "src.proxy.app:app", "--log-level", "warning"),
}


@contextmanager
def proxy(command, redis_url, **options):
    """A proxy in a process of its own, which has started."""
    port = free_port()
    environment = os.environ | {"INFERQ_REDIS_URL": redis_url, "INFERQ_LOG_FORMAT": "json"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        yield process, port
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_waiting_requests_are_answered_and_streams_end_when_the_proxy_stops(
    command, number, redis_url, redis_client
):
    with proxy(command, redis_url) as (process, port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
            waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
            preferring = asyncio.create_task(
                client.post("/predict", json=DATA, headers={"Prefer": "wait=60"})
            )
            async with (
                client.stream("GET", f"/job/{job_id}/events") as response,
                connect(f"ws://127.0.0.1:{port}/job/{job_id}/ws") as socket,
                connect(f"ws://127.0.0.1:{port}/ws") as session,
            ):
                stream = Stream(response)
                await stream.next()
                await socket.recv()
                await session.send(json.dumps({"watch": job_id}))
                await session.recv()
                while redis_client.llen("queue:iris") < 2:
                    await asyncio.sleep(0.01)
                process.send_signal(number)
                started = time.monotonic()
                assert (await waiting).json()["status"] == "pending"
                answer = await preferring
                assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=60")
                assert await stream.rest() == []
                for one in (socket, session):
                    with pytest.raises(ConnectionClosed) as caught:
                        await asyncio.wait_for(one.recv(), 60)
                    assert caught.value.rcvd.code == 1012
        _, errors = await asyncio.to_thread(process.communicate, timeout=60)
        assert time.monotonic() - started < 40  # not to the end of their wait
    assert process.returncode in (0, -number)
    assert "Traceback" not in errors
    assert "Cancel" not in errors


def test_proxy_may_have_as_many_connections_as_the_system_allows(redis_url):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with proxy(
        COMMANDS["inferq proxy"],
        redis_url,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
    ) as (process, _):
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
