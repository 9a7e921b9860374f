"""Chooses the protocols that the server speaks: those of this package, where uvicorn is as they expect it.

They extend classes of uvicorn and use private names of theirs. Before they are imported, each of these names
is looked up in the uvicorn that is installed, with the parameters of the methods that are overridden or
called, and with the names that the code of uvicorn's methods uses itself. Where anything differs, uvicorn's
own protocols serve: more slowly, and without the limits, but with the same answers.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import structlog

_HTTP_MODULE = "uvicorn.protocols.http.httptools_impl"
_WEBSOCKET_MODULE = "uvicorn.protocols.websockets.websockets_sansio_impl"

log = structlog.get_logger()


class Protocols(NamedTuple):
    """What `uvicorn.Config` takes as `http` and `ws`: a class, or a name that uvicorn knows."""

    http: type | str
    websocket: type | str


class _Method(NamedTuple):
    """What is expected of a method.

    Attributes:
        parameters: Its parameters after `self`; None where they do not matter.
        uses: Names that its own code has to use.
    """

    parameters: str | None
    uses: str = ""


type _Expected = Mapping[str, Mapping[str, _Method]]
"""By class, by method."""

_LIMITED_HTTP: _Expected = {
    "HttpToolsProtocol": {
        "__init__": _Method(
            None, "config loop parser server_state tasks transport flow pipeline scope headers cycle"
        ),
        "connection_made": _Method("transport", "transport flow"),
        "connection_lost": _Method("exc", "cycle response_complete disconnected message_event"),
        "data_received": _Method("data", "_unset_keepalive_if_required parser feed_data _should_upgrade"),
        "eof_received": _Method(""),
        "handle_websocket_upgrade": _Method("", "scope url ws_protocol_class set_protocol"),
        "on_message_begin": _Method("", "url headers scope"),
        "on_url": _Method("url", "url"),
        "on_headers_complete": _Method(
            "", "parser scope _should_upgrade flow RequestResponseCycle cycle _start_asgi_task pipeline"
        ),
        "on_body": _Method("body", "_should_upgrade cycle response_complete body"),
        "on_message_complete": _Method("", "_should_upgrade cycle response_complete more_body"),
        "on_response_complete": _Method(
            "", "transport _unset_keepalive_if_required flow resume_reading pipeline _start_asgi_task"
        ),
        "shutdown": _Method("", "cycle response_complete keep_alive"),
        "_should_upgrade": _Method(""),
        "_start_asgi_task": _Method("cycle app", "run_asgi tasks"),
        "_unset_keepalive_if_required": _Method("", "timeout_keep_alive_task"),
    },
    "RequestResponseCycle": {
        "__init__": _Method(
            None, "scope message_event disconnected keep_alive body more_body response_started"
        ),
        "run_asgi": _Method("app"),
        "receive": _Method("", "disconnected response_complete message_event body more_body"),
        "send": _Method("message", "response_started response_complete on_response"),
    },
    "FlowControl": {
        "__init__": _Method("transport", "write_paused"),
        "drain": _Method(""),
        "pause_reading": _Method(""),
        "resume_reading": _Method(""),
    },
    "ServerState": {"__init__": _Method(None, "total_requests connections tasks default_headers")},
}

_FAST_HTTP: _Expected = {
    "HttpToolsProtocol": {
        "__init__": _Method(
            None,
            "root_path limit_concurrency timeout_keep_alive timeout_keep_alive_task HttpRequestParser "
            "set_dangerous_leniencies",
        ),
        "on_response_complete": _Method("", "total_requests timeout_keep_alive_handler"),
        "timeout_keep_alive_handler": _Method("", "transport close"),
    },
    "RequestResponseCycle": {"__init__": _Method(None, "response_complete on_response")},
}
"""What the fast path expects besides."""

_LIMITED_WEBSOCKET: _Expected = {
    "WebSocketsSansIOProtocol": {
        "__init__": _Method(None, "config loop conn transport close_sent close_timer close_timeout frames"),
        "connection_lost": _Method("exc"),
        "data_received": _Method("data", "conn receive_data"),
        "handle_text": _Method("event", "frames send_receive_event_to_app"),
        "handle_bytes": _Method("event", "frames send_receive_event_to_app"),
        "handle_cont": _Method("event", "frames send_receive_event_to_app"),
        "send_receive_event_to_app": _Method("", "frames"),
        "send_keepalive_ping": _Method(""),
        "stop_keepalive": _Method(""),
    },
    "ServerProtocol": {"fail": _Method("code reason"), "data_to_send": _Method("")},
}


def choose_protocols() -> Protocols:
    """Chooses the protocols of a server. What has to be left out is logged, in one line."""
    limited = list(_find_differences(_HTTP_MODULE, _LIMITED_HTTP)) or list(_find_status_lines())
    fast = limited or list(_find_differences(_HTTP_MODULE, _FAST_HTTP))
    websocket = list(_find_differences(_WEBSOCKET_MODULE, _LIMITED_WEBSOCKET)) or list(_find_read_buffer())
    protocols = Protocols(_load_http(limited, fast), _load_websocket(websocket))
    if fast or websocket:
        http, socket = (getattr(one, "__name__", one) for one in protocols)
        log.warning("uvicorn_differs", differences=[*fast, *websocket], http=http, websocket=socket)
    return protocols


def _load_http(limited: list[str], fast: list[str]) -> type | str:
    if limited:
        return _find_own(_HTTP_MODULE, "HttpToolsProtocol")
    if fast:
        from inferq.proxy.transport.limited_protocol import LimitedProtocol

        return LimitedProtocol
    from inferq.proxy.transport.fast_protocol import FastProtocol

    return FastProtocol


def _load_websocket(differences: list[str]) -> type | str:
    if differences:
        return _find_own(_WEBSOCKET_MODULE, "WebSocketsSansIOProtocol")
    from inferq.proxy.transport.limited_websocket import LimitedWebSocket

    return LimitedWebSocket


def _find_own(module_name: str, class_name: str) -> type | str:
    """Returns uvicorn's own protocol that ours extends; "auto", what uvicorn prefers, where that has gone."""
    try:
        own: type | str = getattr(importlib.import_module(module_name), class_name, "auto")
    except ImportError:
        return "auto"
    return own


def _find_differences(module_name: str, expected: _Expected) -> Iterator[str]:
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        yield module_name
        return
    for class_name, methods in expected.items():
        owner = getattr(module, class_name, None)
        if not inspect.isclass(owner):
            yield f"{module_name}.{class_name}"
            continue
        for name, method in methods.items():
            if difference := _compare(getattr(owner, name, None), method):
                yield f"{class_name}.{name}{difference}"


def _compare(found: object, expected: _Method) -> str:
    """Describes how a method differs; empty if it does not."""
    if not inspect.isfunction(found) or found.__module__.startswith("asyncio."):
        return " is missing"
    parameters = list(inspect.signature(found).parameters)[1:]
    if expected.parameters is not None and parameters != expected.parameters.split():
        return f"({', '.join(parameters)})"
    missing = set(expected.uses.split()).difference(found.__code__.co_names, found.__code__.co_freevars)
    return f" without {', '.join(sorted(missing))}" if missing else ""


def _find_status_lines() -> Iterator[str]:
    lines = getattr(importlib.import_module(_HTTP_MODULE), "STATUS_LINE", {})
    if lines.get(200) != b"HTTP/1.1 200 OK\r\n":
        yield f"{_HTTP_MODULE}.STATUS_LINE"


def _find_read_buffer() -> Iterator[str]:
    from websockets.server import ServerProtocol

    if not hasattr(getattr(ServerProtocol(), "reader", None), "buffer"):
        yield "websockets.server.ServerProtocol.reader.buffer"
