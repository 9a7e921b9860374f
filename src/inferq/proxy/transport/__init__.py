"""What is below the application: the fast path, limits on connections, the listening socket, the shutdown.

The names in `__all__` are all that the rest of the proxy uses. The protocols are found by `choose_protocols`
alone, so that a uvicorn for which they were not written is never imported by them.
"""

from inferq.proxy.transport.connection_limits import ConnectionLimits
from inferq.proxy.transport.fast_path import FastPath
from inferq.proxy.transport.fast_route import FastRoute, ProtocolRoute, WaitingRoute
from inferq.proxy.transport.listen import (
    allow_many_connections,
    is_loopback,
    listen,
    refuse_new_connections,
)
from inferq.proxy.transport.shutdown import before_stopping
from inferq.proxy.transport.uvicorn_protocols import choose_protocols

__all__ = [
    "ConnectionLimits",
    "FastPath",
    "FastRoute",
    "ProtocolRoute",
    "WaitingRoute",
    "allow_many_connections",
    "before_stopping",
    "choose_protocols",
    "is_loopback",
    "listen",
    "refuse_new_connections",
]
