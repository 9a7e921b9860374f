"""Hosts in network namespaces, and the network between them: one thread that carries their packets.

Each host has one interface (TUN). What it sends is read here and given to the host with that address, or
is held, or dropped, as the lines of both say. So a line can be cut in one direction, slow or lossy, with
nothing but the kernel's own TCP at its ends.
"""

import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

_TUN = Path("/dev/net/tun")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MTU_BYTES = 9000
_BUFFER_BYTES = 256 * 1024
"""What a slow line holds before it drops, as the buffer of a router does."""
_DESTINATION = slice(16, 20)  # of an IPv4 header (RFC 791)


def find_obstacle() -> str:
    """Why there can be no hosts on this machine; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if not _TUN.exists():
        return f"there is no {_TUN}"
    try:
        _ip("netns", "add", name := f"inferq-{os.getpid()}-probe")
        _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made: {error}"
    return ""


@dataclass
class Line:
    """One direction of a host's connection to all others. May be changed at any time.

    Attributes:
        is_cut: Whether it carries nothing.
        delay_seconds: How long each packet is under way.
        bytes_per_second: How much it carries.
        loss: Share of its packets that are lost.
    """

    is_cut: bool = False
    delay_seconds: float = 0.0
    bytes_per_second: float = float("inf")
    loss: float = 0.0
    _free_at: float = field(default=0.0, repr=False)

    def carry(self, size: int, now: float) -> float | None:
        """Returns when a packet that is sent now has passed; None where it is lost."""
        if self.is_cut or random.random() < self.loss:
            return None
        if self.bytes_per_second == float("inf"):
            return now + self.delay_seconds
        begins_at = max(now, self._free_at)
        if (begins_at - now) * self.bytes_per_second > _BUFFER_BYTES:
            return None
        self._free_at = begins_at + size / self.bytes_per_second
        return self._free_at + self.delay_seconds


class Host:
    """A machine of its own as far as the network goes. Made by `Network.add`.

    Attributes:
        name: Its name.
        address: Its IPv4 address.
        sends: The line by which it sends.
        receives: The line by which it receives.
    """

    def __init__(self, name: str, address: str, namespace: str) -> None:
        self.name = name
        self.address = address
        self.sends = Line()
        self.receives = Line()
        self._namespace = namespace
        self._threads = ThreadPoolExecutor(8, f"host-{name}", self._enter)
        _ip("netns", "add", namespace)
        try:
            self.tun = self._threads.submit(_open_tun).result()
            for command in (
                ("addr", "add", f"{address}/24", "dev", "tun0"),
                ("link", "set", "tun0", "mtu", str(_MTU_BYTES), "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", namespace, *command)
        except BaseException:
            self.remove()
            raise

    def _enter(self) -> None:
        file = os.open(f"/run/netns/{self._namespace}", os.O_RDONLY)
        try:
            os.setns(file, os.CLONE_NEWNET)
        finally:
            os.close(file)

    def call[T](self, function: Callable[[], T]) -> T:
        """Runs a function on this host: the sockets that it makes are the host's."""
        return self._threads.submit(function).result()

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Starts a program on this host; its process id is that of the program itself."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self._namespace, *command], env=dict(environment), **options
        )

    @contextmanager
    def lines(self, *, sends: bool = True, receives: bool = True, **values: object) -> Iterator[None]:
        """Makes its lines bad for a while, in both directions or one; see `Line`."""
        changed = [line for line, is_meant in ((self.sends, sends), (self.receives, receives)) if is_meant]
        before = [{name: getattr(line, name) for name in values} for line in changed]
        for line in changed:
            for name, value in values.items():
                setattr(line, name, value)
        try:
            yield
        finally:
            for line, earlier in zip(changed, before, strict=True):
                for name, value in earlier.items():
                    setattr(line, name, value)

    def remove(self) -> None:
        """Removes the namespace. Its programs have to be ended before."""
        self._threads.shutdown()
        with suppress(AttributeError, OSError):
            os.close(self.tun)
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self._namespace)


class Network:
    """Some hosts, each of which reaches each other."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self._by_address: dict[bytes, Host] = {}
        self._selector = selectors.DefaultSelector()
        self._under_way: list[tuple[float, int, int, bytes]] = []  # due at, number, to which TUN, packet
        self._number = 0
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._carry_all, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()
        for host in self.hosts:
            host.remove()
        self._selector.close()

    def add(self, name: str) -> Host:
        """Adds a host."""
        address = f"10.77.0.{len(self.hosts) + 1}"
        host = Host(name, address, f"inferq-{os.getpid()}-{name}")
        self.hosts.append(host)
        self._by_address[socket.inet_aton(address)] = host
        self._selector.register(host.tun, selectors.EVENT_READ, host)
        return host

    def _carry_all(self) -> None:
        while not self._is_ending.is_set():
            wait = 0.05
            if self._under_way:
                wait = min(wait, max(0.0, self._under_way[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait):
                self._take(key.data)
            self._deliver_due()

    def _take(self, host: Host) -> None:
        with suppress(BlockingIOError):
            for _ in range(64):
                packet = os.read(host.tun, 65535)
                to = self._by_address.get(packet[_DESTINATION])
                if to is None or packet[0] >> 4 != 4:
                    continue
                sent = host.sends.carry(len(packet), time.monotonic())
                arrives = None if sent is None else to.receives.carry(len(packet), sent)
                if arrives is not None:
                    self._number += 1
                    heapq.heappush(self._under_way, (arrives, self._number, to.tun, packet))

    def _deliver_due(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, tun, packet = heapq.heappop(self._under_way)
            with suppress(OSError):  # the host's buffer is full: lost
                os.write(tun, packet)


def _open_tun() -> int:
    file = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI))
    return file


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
