"""Responses in one piece: uvicorn writes head and body one after the other, each a system call and a packet.

The same is done for answers on WebSockets, which take the transport over.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "


class CorkingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a transport that keeps the head of a response until its body comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection over."""
        super().connection_made(cast("asyncio.Transport", CorkedTransport(transport)))


class CorkedTransport:
    """A transport that writes the head of a response together with what follows it.

    Where nothing follows before the event loop's next turn, as with an event stream, the head goes alone.

    Args:
        transport: What it writes to. Everything but writing and closing is left to it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the transport has it
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes, or keeps the head of a response. What comes too late for the client is dropped."""
        if self._transport.is_closing():
            return
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD):
            self._head = data
            self._call_soon(self._write_head)
            return
        self._transport.write(data)

    def write_whole(self, response: bytes) -> None:
        """Writes head and body of a response at once."""
        if self._head:
            self._write_head()
        self._transport.write(response)

    def close(self) -> None:
        """Closes the connection when all is written."""
        self._write_head()
        self._transport.close()

    def _write_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)
