"""Our protocols serve only over a uvicorn that has what they use of it; over another one its own serve."""

import ast
import importlib
import inspect
import re
import sys
from types import ModuleType

import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.client import connect

from inferq.proxy.transport import choose_protocols, fast_protocol, limited_protocol, limited_websocket
from inferq.proxy.transport.fast_protocol import FastProtocol
from inferq.proxy.transport.limited_protocol import LimitedProtocol
from inferq.proxy.transport.limited_websocket import LimitedWebSocket
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import (
    BODY,
    UPGRADE,
    Connection,
    answers_to,
    request,
)
from tests.integration.proxy.transport.test_fast_route import REQUESTS, store_jobs

HTTP = "uvicorn.protocols.http.httptools_impl"
WEBSOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl"
OURS = {HTTP: [fast_protocol, limited_protocol], WEBSOCKET: [limited_websocket]}


@pytest.fixture
def change_uvicorn(monkeypatch):
    """Puts a uvicorn in place in which a name is another one, everywhere in one of its modules."""

    def change(module, name):
        source = inspect.getsource(importlib.import_module(module))
        before = r"\b" if name[0].isupper() else r"(?<=\.)(?<!from uvicorn\.)|(?<=def )"
        return put_in_place(monkeypatch, module, re.sub(rf"(?:{before}){name}\b", f"{name}_", source))

    return change


def put_in_place(monkeypatch, module, source):
    changed = ModuleType(module)
    exec(source, changed.__dict__)
    monkeypatch.setitem(sys.modules, module, changed)
    return changed


def find_used_names(module):
    """Names of uvicorn's module that our protocols use: methods that they override, attributes they read."""
    nodes = [node for one in OURS[module] for node in ast.walk(ast.parse(inspect.getsource(one)))]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    read = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and is_of_uvicorn(node.value)
    }
    source = inspect.getsource(importlib.import_module(module))
    overridden = {name for name in defined if has_method(module, name)}
    return sorted((overridden | {name for name in read if f"self.{name}" in source}) - {"__init__"})


def has_method(module, name):
    classes = inspect.getmembers(importlib.import_module(module), inspect.isclass)
    return any(name in vars(one) for _, one in classes if one.__module__ == module)


def is_of_uvicorn(value):
    """Whether an attribute is one of a protocol or a request of uvicorn."""
    is_super = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "super"
    return is_super or getattr(value, "id", "") in ("self", "cycle", "one")


def test_protocols_over_the_installed_uvicorn_are_ours():
    with capture_logs() as logged:
        assert choose_protocols() == (FastProtocol, LimitedWebSocket)
    assert logged == []


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module in OURS for name in find_used_names(module)],
)
def test_every_name_that_our_protocols_use_is_looked_up(change_uvicorn, module, name):
    change_uvicorn(module, name)
    with capture_logs() as logged:
        http, websocket = choose_protocols()
    assert http != FastProtocol if module == HTTP else websocket != LimitedWebSocket
    assert [line["event"] for line in logged] == ["uvicorn_differs"]


@pytest.mark.parametrize(
    ("module", "chosen"), [(HTTP, ("auto", LimitedWebSocket)), (WEBSOCKET, (FastProtocol, "auto"))]
)
def test_module_that_is_not_there_is_not_needed(monkeypatch, module, chosen):
    monkeypatch.setitem(sys.modules, module, None)
    assert choose_protocols() == chosen


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def _start_asgi_task(self, cycle:", "def _start_asgi_task(self, request:"),
        ("self._start_asgi_task(self.cycle, app)", "self.loop.create_task(self.cycle.run_asgi(app))"),
        ('b"HTTP/1.1 ", str', 'b"HTTP/1.2 ", str'),
    ],
)
def test_method_that_works_in_another_way_is_a_difference(monkeypatch, old, new):
    source = inspect.getsource(importlib.import_module(HTTP))
    assert old in source
    changed = put_in_place(monkeypatch, HTTP, source.replace(old, new))
    assert choose_protocols().http in (changed.HttpToolsProtocol, LimitedProtocol)


@pytest.mark.parametrize(
    "name",
    [
        *("_start_asgi_task", "_unset_keepalive_if_required", "_should_upgrade", "on_response_complete"),
        *("cycle", "pipeline", "flow", "response_complete", "more_body", "message_event", "STATUS_LINE"),
        *("timeout_keep_alive_handler", "timeout_keep_alive_task", "RequestResponseCycle"),
    ],
)
async def test_service_over_a_changed_uvicorn_answers_the_same(
    settings, announced, consumer, redis_client, change_uvicorn, name
):
    store_jobs(redis_client, consumer, "waiting")
    change_uvicorn(HTTP, name)
    protocols = choose_protocols()
    assert protocols.http != FastProtocol
    with (
        serving(settings, protocols.http, ws=protocols.websocket) as changed,
        serving(settings, HttpToolsProtocol) as plain,
    ):
        for method, path, body in REQUESTS:
            if not path.endswith("/events"):
                sent = request(method.encode(), path.encode(), body)
                one, other = await answers_to((changed, plain), sent, has_body=method != "HEAD")
                assert one == other, sent
        async with connect(changed.socket_url("/job/done/ws")) as socket:
            assert '"event":"end"' in await socket.recv()
        async with changed.client() as client:
            assert "event: end" in (await client.get("/job/done/events")).text


async def test_limits_stay_where_only_the_fast_path_does_not_fit(settings, announced, change_uvicorn):
    change_uvicorn(HTTP, "timeout_keep_alive_handler")
    protocols = choose_protocols()
    assert protocols == (LimitedProtocol, LimitedWebSocket)
    with serving(settings, protocols.http, ws=protocols.websocket) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
            assert b" 431 " in await connection.answer()
        async with Connection.to(proxy) as connection:  # what is sent behind a request waits for its answer
            await connection.send(request(body=BODY) + request(body=BODY) + UPGRADE)
            for status in (b" 202 ", b" 202 ", b" 101 "):
                assert status in await connection.answer()
        async with Connection.to(proxy) as connection:
            await connection.send(request(body=BODY) + b"no HTTP\r\n\r\n")
            for status in (b" 202 ", b" 400 "):
                assert status in await connection.answer()


async def test_websockets_over_a_changed_uvicorn_work(settings, announced, change_uvicorn):
    changed = change_uvicorn(WEBSOCKET, "send_receive_event_to_app")
    protocols = choose_protocols()
    assert protocols == (FastProtocol, changed.WebSocketsSansIOProtocol)
    with serving(settings, protocols.http, ws=protocols.websocket) as proxy:
        async with connect(proxy.socket_url("/ws")) as socket:
            await socket.send(BODY.decode())
            assert '"accepted"' in await socket.recv()
