"""What Redis refuses is said in sentences."""

import pytest
from redis import exceptions

from inferq.queue.redis_client.error_replies import describe_error, is_lasting_refusal, is_refusal

SCRIPT = " script: 5f3aa0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7, on @user_script:12."
ERRORS = [
    (exceptions.ReadOnlyError(f"You can't write against a read only replica.{SCRIPT}"), "READONLY"),
    (
        exceptions.OutOfMemoryError(f"command not allowed when used memory > 'maxmemory'.{SCRIPT}"),
        "maxmemory",
    ),
    (exceptions.ResponseError(f"MISCONF Redis is configured to save RDB snapshots, but{SCRIPT}"), "MISCONF"),
    (exceptions.ResponseError(f"NOREPLICAS Not enough good replicas to write.{SCRIPT}"), "NOREPLICAS"),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
    (exceptions.NoPermissionError("this user has no permissions to run the 'evalsha' command"), "NOPERM"),
    (exceptions.AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
    (exceptions.AuthenticationError("Authentication required."), "NOAUTH"),
    (
        exceptions.AuthenticationError(
            "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client"
        ),
        "NOAUTH",
    ),
    (exceptions.ConnectionError("max number of clients reached"), "maxclients"),
    (
        exceptions.MasterDownError("Link with MASTER is down and replica-serve-stale-data is 'no'."),
        "MASTERDOWN",
    ),
    (exceptions.ResponseError("BUSY Redis is busy running a script."), "BUSY"),
]


@pytest.mark.parametrize(("error", "word"), ERRORS, ids=[word for _, word in ERRORS])
def test_refusal_is_a_sentence_with_what_to_do(error, word):
    sentence = describe_error(error)
    assert word in sentence
    assert sentence.count(". ") >= 1
    assert sentence.endswith(".")
    assert "script:" not in sentence


@pytest.mark.parametrize(
    "text",
    [
        f"WRONGTYPE Operation against a key holding the wrong kind of value{SCRIPT}",
        "ERR user_script:12: WRONGTYPE Operation against a key holding the wrong kind of value" + SCRIPT,
        "ERR Error running script (call to f_5f3a): @user_script:12: WRONGTYPE Operation against a key "
        "holding the wrong kind of value",
    ],
)
def test_position_in_a_script_is_left_out(text):
    assert describe_error(exceptions.ResponseError(text)) == (
        "Redis does not serve us: WRONGTYPE Operation against a key holding the wrong kind of value."
    )


def test_refusal_lasts_that_has_no_code_of_its_own():
    assert is_lasting_refusal(exceptions.ResponseError("DB index is out of range"))
    assert is_lasting_refusal(exceptions.NoPermissionError("this user has no permissions"))
    for passing in (exceptions.ResponseError("MISCONF x"), exceptions.ReadOnlyError("x"), TimeoutError()):
        assert not is_lasting_refusal(passing)


def test_only_what_the_server_has_answered_is_a_refusal():
    assert is_refusal(exceptions.ReadOnlyError("x"))
    assert not any(map(is_refusal, (exceptions.ConnectionError("x"), TimeoutError(), None)))
