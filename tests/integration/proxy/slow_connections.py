"""Slow connections to a server."""

import asyncio
from contextlib import asynccontextmanager
from math import inf


@asynccontextmanager
async def slow_connection(port, bytes_per_second=inf, seconds=0.0):
    """A port from which every connection goes on to another, slower than loopback.

    Args:
        port: The other port, of this machine.
        bytes_per_second: What each connection carries in each direction.
        seconds: How much later every answer comes.
    """

    async def pump(reader, writer, delay):
        try:
            while data := await reader.read(16_384):
                await asyncio.sleep(delay)
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(len(data) / bytes_per_second)
        except OSError:
            pass
        finally:
            writer.close()

    connections = set()

    async def connect_through(reader, writer):
        connections.add(asyncio.current_task())
        onward, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, back, 0.0), pump(onward, writer, seconds))
        finally:  # though something is still to be sent
            back.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(connect_through, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)  # sockets are closed at the loop's next turn
