from dataclasses import replace

import pytest

from inferq.doctor.finding import Level
from inferq.doctor.server_checks import check_server
from inferq.queue import ServerReport
from inferq.settings import Settings

WELL = ServerReport(
    name="Redis",
    version="7.2.4",
    faults=(),
    policy="noeviction",
    used_bytes=10_000_000,
    limit_bytes=100_000_000,
    machine_bytes=1_000_000_000,
    has_append_only_file=True,
    appendfsync="everysec",
    save="",
    failed_writes=(),
    is_replica=False,
    replicas=1,
    is_cluster=False,
    value_bytes=512 * 1024 * 1024,
    delays=(0.0001, 0.0002, 0.0003),
    clock_offset_seconds=0.01,
)


def judge(settings=None, **changes):
    """Name to level of all that is not ok."""
    found = check_server(replace(WELL, **changes), settings or Settings())
    return {one.check: one.level.value for one in found if one.level is not Level.OK}


def test_server_as_it_should_be_is_ok():
    assert judge() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"policy": "allkeys-lru"}, {"redis-eviction": "warning"}),
        ({"has_append_only_file": False}, {"redis-durability": "warning"}),
        ({"appendfsync": "no"}, {"redis-durability": "warning"}),
        ({"appendfsync": None, "save": None, "value_bytes": None}, {}),
        ({"used_bytes": 85_000_000}, {"redis-memory": "warning"}),
        ({"used_bytes": 96_000_000}, {"redis-memory": "error"}),
        ({"used_bytes": 960_000_000, "limit_bytes": 0}, {"redis-memory": "error"}),
        ({"limit_bytes": 0, "machine_bytes": 0}, {}),
        ({"delays": (0.001, 0.02, 0.03)}, {"redis-latency": "warning"}),
        ({"is_replica": True}, {"redis-role": "error"}),
        ({"is_cluster": True}, {"redis-cluster": "error"}),
        ({"failed_writes": ("snapshot",)}, {"redis-disk": "error"}),
        ({"value_bytes": 1_000_000}, {"redis-values": "warning"}),
        ({"clock_offset_seconds": 5.0}, {"clock": "warning"}),
        ({"clock_offset_seconds": -400.0}, {"clock": "error"}),
    ],
)
def test_each_fault_of_a_server_has_its_level(changes, expected):
    assert judge(**changes) == expected


def test_long_values_are_no_concern_of_a_server_beside_a_blob_store():
    assert judge(Settings(blob_store="file:///blobs"), value_bytes=1_000_000) == {}


@pytest.mark.parametrize(
    ("settings", "replicas", "expected"),
    [
        ({"key_prefix": "{inferq}:"}, 1, {"redis-cluster": "warning"}),
        ({"redis_url": "redis+cluster://a:1,b:1"}, 1, {}),
        ({"redis_url": "redis+cluster://a:1,b:1"}, 0, {"redis-cluster": "warning"}),
    ],
)
def test_cluster_is_named_as_one_and_has_replicas(settings, replicas, expected):
    assert judge(Settings(**settings), is_cluster=True, replicas=replicas) == expected


def test_clock_ahead_of_the_server_is_said_to_be():
    found = {one.check: one for one in check_server(replace(WELL, clock_offset_seconds=-5.0), Settings())}
    assert "5.0 s ahead of the server's" in found["clock"].message
