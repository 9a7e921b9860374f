"""What is known of a cluster changes with each answer and each error."""

import pytest
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.queue.redis_client.cluster_nodes import ClusterNodes
from inferq.queue.redis_client.error_replies import SlotAwayError, describe_error, is_refusal

SEED, A, B, C = ("seed", 1), ("a", 1), ("b", 1), ("c", 1)


def slots(*owners):
    """An answer to CLUSTER SLOTS in which these own equal parts of 16 slots."""
    size = 16 // len(owners)
    return [
        [number * size, (number + 1) * size - 1, [host.encode(), port, b"id", []]]
        for number, (host, port) in enumerate(owners)
    ]


@pytest.fixture
def nodes():
    nodes = ClusterNodes([SEED], 5)
    assert nodes.read_answer(SEED, slots(A, B)) == A
    return nodes


def moved(host):
    return MovedError(f"5 {host}:1", status_code="MOVED")


def test_nodes_that_answers_name_are_asked_before_the_seeds(nodes):
    assert nodes.list_candidates() == [SEED, A, B]
    nodes.doubt(A)
    assert nodes.address is None
    assert nodes.list_candidates() == [A, B, SEED]


def test_node_without_a_host_is_reached_as_the_one_that_was_asked():
    for host in (None, b"", b"?"):
        nodes = ClusterNodes([SEED], 5)
        assert nodes.read_answer(("x", 2), [[0, 15, [host, 7, b"id", []]]]) == ("x", 7)


def test_answer_in_which_nobody_serves_the_slot_changes_nothing():
    nodes = ClusterNodes([SEED], 5)
    assert nodes.read_answer(SEED, [[6, 15, [b"a", 1, b"id", []]]]) is None
    assert nodes.list_candidates() == [SEED]


def test_moved_names_the_node(nodes):
    error = nodes.note_error(A, moved("c"))
    assert isinstance(error, SlotAwayError)
    assert nodes.address == C


def test_moved_of_a_node_that_was_left_already_is_no_news(nodes):
    nodes.note_error(B, moved("c"))
    assert nodes.address == A


def test_moved_that_names_no_host_is_a_reason_to_ask(nodes):
    assert isinstance(nodes.note_error(A, moved("")), SlotAwayError)
    assert nodes.address is None


@pytest.mark.parametrize(
    "error", [AskError("5 b:1", status_code="ASK"), TryAgainError("Multiple keys", status_code="TRYAGAIN")]
)
def test_node_whose_slot_is_being_moved_still_has_it(nodes, error):
    away = nodes.note_error(A, error)
    assert nodes.address == A
    assert is_refusal(away)
    assert describe_error(away) == (
        f"The Redis Cluster moves this queue to another node ({error.status_code}). Wait until that is done."
    )


def test_cluster_that_is_down_is_asked_again(nodes):
    away = nodes.note_error(A, ClusterDownError("The cluster is down", status_code="CLUSTERDOWN"))
    assert nodes.address is None
    assert describe_error(away) == "The Redis Cluster is down (CLUSTERDOWN). See its nodes."


@pytest.mark.parametrize("error", [ReadOnlyError("no"), MasterDownError("no"), RedisConnectionError("lost")])
def test_node_that_is_lost_or_no_primary_is_asked_for(nodes, error):
    assert nodes.note_error(A, error) is None
    assert nodes.address is None
