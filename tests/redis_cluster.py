"""A real Redis Cluster of three primaries with a replica each, on loopback."""

import redis
from redis.crc import key_slot

from tests.servers import Server, free_port, wait_until

SLOTS = 16384
_PRIMARIES = 3
_NODE_TIMEOUT_MS = 2500
"""How long a node may be silent until it counts as dead: no busy machine may kill one."""


class RedisCluster:
    """Six processes of our own: nodes can be killed, started again, and slots moved.

    Attributes:
        nodes: The servers; which of them are primaries changes.
        url: Names them all.
    """

    def __init__(self, kind: str, *options: str) -> None:
        self._bus_ports = [free_port() for _ in range(2 * _PRIMARIES)]
        self.nodes = [
            Server(
                kind,
                *("--cluster-enabled", "yes", "--cluster-port", str(port)),
                *("--cluster-node-timeout", str(_NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0"),
                *("--repl-ping-replica-period", "1"),
                *options,
            )
            for port in self._bus_ports
        ]
        self.url = f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def start(self) -> "RedisCluster":
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            _command(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for other, port in zip(self.nodes[:number], self._bus_ports, strict=False):
                _command(node, "CLUSTER", "MEET", "127.0.0.1", other.port, port)
            if number < _PRIMARIES:
                first, after = (SLOTS * part // _PRIMARIES for part in (number, number + 1))
                _command(node, "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        for replica, primary in zip(self.nodes[_PRIMARIES:], self.nodes, strict=False):
            wait_until(lambda r=replica, p=primary: _follows(r, p), what="a node that knows its primary")
        self.wait_until_whole()
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def heal(self) -> None:
        """Starts again what was killed, and waits until all is well."""
        for node in self.nodes:
            if not node.is_running:
                node.start()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Waits until all nodes agree that there are three primaries, each with a replica in step."""
        wait_until(self._is_whole, 60, "a cluster in which all nodes agree", 0.02)

    def _is_whole(self) -> bool:
        views = []
        for node in self.nodes:
            if b"cluster_state:ok" not in _command(node, "CLUSTER", "INFO") or not _is_in_step(node):
                return False
            slots = _read_slots(node)
            views.append(sorted((first, last, ports[0], sorted(ports)) for first, last, ports in slots))
            if {len(ports) for _, _, ports in slots} != {2}:
                return False
        return all(view == views[0] for view in views)

    def find_primary(self, prefix: str) -> Server:
        """The server whose slot a prefix is in; waits until one that runs serves it."""
        slot = key_slot(prefix.encode())
        found = wait_until(lambda: self._find_owner(slot), what=f"a primary of slot {slot}")
        assert isinstance(found, Server)
        return found

    def _find_owner(self, slot: int) -> Server | None:
        for node in self.nodes:
            if node.is_running:
                for first, last, ports in _read_slots(node):
                    if first <= slot <= last and self._find(ports[0]).is_running:
                        return self._find(ports[0])
        return None

    def find_primaries(self) -> list[Server]:
        """The primaries."""
        return [self._find(port) for port in {ports[0] for _, _, ports in _read_slots(self.nodes[0])}]

    def find_replica(self, primary: Server) -> Server:
        """The server that follows a primary."""
        for _, _, ports in _read_slots(primary):
            if ports[0] == primary.port:
                return self._find(ports[1])
        raise AssertionError(f"nobody follows {primary.port}")

    def find_other(self, primary: Server) -> Server:
        """A primary that is not this one."""
        return next(self._find(ports[0]) for _, _, ports in _read_slots(primary) if ports[0] != primary.port)

    def _find(self, port: int) -> Server:
        return next(node for node in self.nodes if node.port == port)

    def fail_over(self, primary: Server) -> Server:
        """Makes the replica the primary, which loses nothing; returns it."""
        replica = self.find_replica(primary)
        _command(replica, "CLUSTER", "FAILOVER")
        wait_until(lambda: _read_role(replica) == "master", what="the failover")
        return replica


class SlotMove:
    """Moves a slot from one primary to another step by step, as `redis-cli --cluster reshard` does.

    Args:
        cluster: The cluster.
        prefix: Its keys are in the slot.
    """

    def __init__(self, cluster: RedisCluster, prefix: str) -> None:
        self.slot = key_slot(prefix.encode())
        self.source = cluster.find_primary(prefix)
        self.target = cluster.find_other(self.source)
        self._cluster = cluster

    def begin(self) -> "SlotMove":
        """From now on the slot is on two nodes."""
        source, target = (_command(node, "CLUSTER", "MYID") for node in (self.source, self.target))
        _command(self.target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", source)
        _command(self.source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", target)
        return self

    def move_keys(self, count: int = 100) -> int:
        """Moves some keys; returns how many."""
        keys = _command(self.source, "CLUSTER", "GETKEYSINSLOT", self.slot, count)
        if keys:
            words = ("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
            _command(self.source, *words)
        return len(keys)

    def move_at_once(self) -> None:
        """Moves it as a whole, as Valkey 9 does."""
        target = _command(self.target, "CLUSTER", "MYID")
        slots = ("SLOTSRANGE", self.slot, self.slot)
        _command(self.source, "CLUSTER", "MIGRATESLOTS", *slots, "NODE", target)
        wait_until(self._is_over, what="the move")
        self._cluster.wait_until_whole()

    def _is_over(self) -> bool:
        latest = _command(self.source, "CLUSTER", "GETSLOTMIGRATIONS")[0]
        fields = latest if isinstance(latest, dict) else dict(zip(latest[::2], latest[1::2], strict=True))
        state = fields[b"state"]
        assert state not in (b"failed", b"cancelled"), fields
        return bool(state == b"success")

    def read_all(self) -> list[dict[bytes, bytes]]:
        """All keys of the two nodes, each with its value as DUMP has it."""
        found = []
        for node in (self.source, self.target):
            with node.client() as client:
                keys = list(client.scan_iter(count=1000))
                found.append({key: _ask(client, "DUMP", key) for key in keys})
        return found

    def end(self) -> None:
        """The target has it now."""
        while self.move_keys():
            pass
        target = _command(self.target, "CLUSTER", "MYID")
        for node in (self.target, self.source):
            _command(node, "CLUSTER", "SETSLOT", self.slot, "NODE", target)
        self._cluster.wait_until_whole()


def _command(node: Server, *words: object):
    with node.client() as client:
        return client.execute_command(*words)


def _ask(client: redis.Redis, *words: object):
    """The answer of a node that need not have got the slot yet."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("ASKING")
    pipeline.execute_command(*words)
    return pipeline.execute()[1]


def _follows(replica: Server, primary: Server) -> bool:
    try:
        _command(replica, "CLUSTER", "REPLICATE", _command(primary, "CLUSTER", "MYID"))
    except redis.ResponseError:  # it has not heard of it yet
        return False
    return True


def _read_slots(node: Server) -> list[tuple[int, int, list[int]]]:
    """Ranges of slots, each with the ports of its primary and of those that follow it."""
    with redis.Redis(port=node.port, socket_timeout=30, protocol=2) as client:
        client.response_callbacks.clear()
        answer = client.execute_command("CLUSTER", "SLOTS")
    return [(first, last, [server[1] for server in servers]) for first, last, *servers in answer]


def _read_role(node: Server) -> str:
    with node.client() as client:
        return client.info("replication")["role"]


def _is_in_step(node: Server) -> bool:
    with node.client() as client:
        return client.info("replication").get("master_link_status", "up") == "up"
