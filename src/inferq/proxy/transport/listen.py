"""The socket that the proxy listens on, and how it stops listening without failing a client."""

import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26  # of Linux; the module `socket` does not name it
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load the byte of the TCP header that holds the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # if SYN alone is set
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else let it through
)
"""Classic BPF: code, jump if true, jump if false, operand. Source: Linux, networking/filter."""


def listen(host: str, port: int, *, shares_port: bool = False) -> socket.socket:
    """Listens on an address.

    Args:
        host: IPv4 or IPv6 address, or a name; `::` is every address of both families.
        port: TCP port.
        shares_port: Whether other proxies listen there too; the system spreads connections over them.

    Raises:
        SystemExit: With one line and code 1 if the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port),
            family=family,
            backlog=2048,
            reuse_port=shares_port,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "the port is in use. Choose another with --port."
        else:
            remedy = f"{error.strerror or error}. Choose another address with --host."
        sys.exit(f"inferq proxy: cannot listen on {host}:{port}: {remedy}")


def is_loopback(listener: socket.socket) -> bool:
    """Whether only programs on this machine can connect to it."""
    address = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def allow_many_connections() -> None:
    """Raises the limit of open files, and so of connections, to the system's maximum. Unix only."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def refuse_new_connections(listener: socket.socket) -> None:
    """Ignores new requests to connect. Connections that are open already can still be accepted.

    Closing a listening socket resets every connection in its backlog, so the backlog has to be empty by then.
    A client whose request to connect is ignored repeats it after a second: then either the next process
    listens, or none. This has an effect on Linux alone, and there not where a hardened kernel allows it to
    root only.
    """
    if not sys.platform.startswith("linux"):
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    with contextlib.suppress(PermissionError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
