"""The servers of a run: one, several that are a shard each, or a Redis Cluster."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Protocol

from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings
from tests.redis_cluster import RedisCluster, SlotMove
from tests.servers import Server

_KEYS_AT_ONCE = 20


class Backend(Protocol):
    """What holds the shards.

    Attributes:
        folder: Where logs and journal of a run are.
        settings: Settings of inferq, by field name, by which it is reached.
        unreplicated_seconds: What was accepted within this time before a kill may be lost.
    """

    folder: Path
    settings: dict[str, object]
    unreplicated_seconds: float

    def start(self) -> None:
        """Starts all."""

    def kill(self, target: int) -> None:
        """Ends one server as `kill -9` does."""

    def restart(self) -> None:
        """Starts what was killed."""

    def list_servers(self) -> list[Server]:
        """Those that hold shards now."""

    def stop(self) -> None:
        """Ends all."""


class SeveralServers:
    """Standalone servers, each of which is a shard.

    Args:
        kind: valkey or redis.
        count: How many.
        appendfsync: The server's setting.
    """

    unreplicated_seconds = 0.0

    def __init__(self, kind: str, count: int = 1, appendfsync: str = "everysec") -> None:
        self._servers = [Server(kind, "--appendfsync", appendfsync) for _ in range(count)]
        self.folder = self._servers[0].folder
        self.settings: dict[str, object] = {"redis_url": ",".join(server.url for server in self._servers)}

    def start(self) -> None:
        for server in self._servers:
            server.start()

    def kill(self, target: int) -> None:
        self._servers[target % len(self._servers)].kill()

    def restart(self) -> None:
        for server in self._servers:
            if not server.is_running:
                server.start()

    def list_servers(self) -> list[Server]:
        return self._servers

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


class ClusterBackend:
    """A Redis Cluster of three primaries with a replica each.

    Args:
        kind: valkey or redis.
        shards: How many shards it has.
    """

    unreplicated_seconds = 1.0

    def __init__(self, kind: str, shards: int) -> None:
        self._cluster = RedisCluster(kind)
        self.folder = Path(tempfile.mkdtemp(prefix="inferq-test-"))
        self.settings: dict[str, object] = {"redis_url": self._cluster.url, "shards": shards}
        if shards == 1:
            self.settings["key_prefix"] = "{inferq-0}:"
        self._prefixes = [shard.key_prefix for shard in split_settings(Settings(**self.settings))]  # type: ignore[arg-type]

    def start(self) -> None:
        self._cluster.start()

    def kill(self, target: int) -> None:
        self._find_primary(target).kill()

    def restart(self) -> None:
        for prefix in self._prefixes:
            self._cluster.find_primary(prefix)
        self._cluster.heal()

    def fail_over(self, target: int) -> None:
        """Makes the replica of a shard's node the primary, which loses nothing."""
        self._cluster.fail_over(self._find_primary(target))
        self._cluster.wait_until_whole()

    def move_slot(self, target: int, seconds: float) -> None:
        """Moves a shard's slot to another node, key by key."""
        move = SlotMove(self._cluster, self._prefixes[target % len(self._prefixes)]).begin()
        until = time.monotonic() + seconds
        while move.move_keys(_KEYS_AT_ONCE) and time.monotonic() < until:
            time.sleep(0.01)
        move.end()

    def _find_primary(self, target: int) -> Server:
        return self._cluster.find_primary(self._prefixes[target % len(self._prefixes)])

    def list_servers(self) -> list[Server]:
        return self._cluster.find_primaries()

    def stop(self) -> None:
        self._cluster.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
