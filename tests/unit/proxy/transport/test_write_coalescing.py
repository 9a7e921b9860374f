import asyncio

from inferq.proxy.transport.write_coalescing import CorkedTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """A transport that notes what is written to it."""

    def __init__(self):
        self.written = []
        self.is_closed = False

    def write(self, data):
        assert not self.is_closed
        self.written.append(data)

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


async def test_head_and_body_are_one_write():
    wire = Wire()
    transport = CorkedTransport(wire)
    transport.write(HEAD)
    assert wire.written == []
    transport.write(b"{}")
    await asyncio.sleep(0)
    assert wire.written == [HEAD + b"{}"]


async def test_head_that_nothing_follows_goes_alone():
    wire = Wire()
    transport = CorkedTransport(wire)
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert wire.written == [HEAD]
    transport.write(b"data: 1\n\n")
    transport.write(b"data: 2\n\n")
    assert wire.written == [HEAD, b"data: 1\n\n", b"data: 2\n\n"]


async def test_two_responses_in_a_row_are_a_write_each():
    wire = Wire()
    transport = CorkedTransport(wire)
    for body in (b"1", b"2"):
        transport.write(HEAD)
        transport.write(body)
    assert wire.written == [HEAD + b"1", HEAD + b"2"]


async def test_head_is_written_before_the_connection_is_closed():
    wire = Wire()
    transport = CorkedTransport(wire)
    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)
    assert wire.written == [HEAD]


async def test_head_is_dropped_when_the_client_has_gone():
    wire = Wire()
    transport = CorkedTransport(wire)
    transport.write(HEAD)
    wire.close()
    await asyncio.sleep(0)
    assert wire.written == []
    assert transport.is_closing()
