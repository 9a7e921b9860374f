"""The application behind a real socket, in a thread of this process, so that a test can inspect it."""

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from inferq.proxy.app import create_app
from inferq.proxy.transport.fast_protocol import FastProtocol
from inferq.queue.events.subscriber import EventSubscriber
from tests.servers import free_port, wait_until


@dataclass
class Proxy:
    """Where it is, and what is in it."""

    app: FastAPI
    port: int
    server: uvicorn.Server
    fast_requests: int = 0

    def count_fast_requests(self):
        """Counts from now on the requests that the protocol serves without ASGI."""
        fast_path = self.app.state.fast_path
        admit = fast_path.admit

        def admit_and_count(*request):
            found = admit(*request)
            self.fast_requests += found is not None
            return found

        fast_path.admit = admit_and_count

    @property
    def subscriber(self) -> EventSubscriber:
        return self.app.state.services.subscriber

    def client(self, **options) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=90, **options)

    def socket_url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def stop(self):
        """Tells it to stop, and does not wait for that."""
        self.server.should_exit = True

    def wait_until_unused(self):
        wait_until(lambda: len(self.subscriber) == 0, what="every waiter leaving")


@contextmanager
def serving(settings, http=FastProtocol, *, app=None, around=lambda app: app, loop_factory=None, **options):
    """Serves until the context ends.

    Args:
        settings: Of the application.
        http: The HTTP protocol.
        app: The application, if it is not just that of `create_app`.
        loop_factory: Makes the event loop; asyncio's own for None.
        around: Makes what the server runs of the application.
        **options: Of the server.
    """
    app = app or create_app(settings)
    options = {"access_log": False, "log_level": "critical", "timeout_graceful_shutdown": 1, **options}
    config = uvicorn.Config(around(app), http=http, port=free_port(), **options)
    server = uvicorn.Server(config)

    async def serve():
        await server.serve()
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # a process would take them along when it ends
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve(), loop_factory=loop_factory))
    thread.start()
    wait_until(lambda: server.started, what="the proxy's start")
    try:
        yield Proxy(app, config.port, server)
    finally:
        server.should_exit = True
        thread.join()
