"""Error replies of Redis, for a reader who does not know our scripts: what is wrong, and what to do."""

import re

from redis import exceptions

# where in a script it happened: "user_script:12: …" in front, " script: 5f3a…, on @user_script:12." behind
_POSITION_IN_SCRIPT = re.compile(
    r"(ERR )?(Error running script.*?: )?@?user_script: ?\d+: |,? ?script: [0-9a-f]{40}.*"
)
_HAS_CODE = re.compile(r"[A-Z]{3,} ")
_NOAUTH = "Redis wants a password (NOAUTH). Set INFERQ_REDIS_URL to redis://:password@host."
_BY_WORDS = {
    "MISCONF": "Redis takes no writes, since it cannot save its data to disk (MISCONF). Make room on its "
    "disk, or see its log.",
    "NOREPLICAS": "Redis takes no writes, since too few replicas follow it (NOREPLICAS). Start them, or "
    "lower its min-replicas-to-write.",
    "max number of clients": "Redis takes no more connections (maxclients). Raise that, or close others.",
    "CLUSTERDOWN": "The Redis Cluster is down (CLUSTERDOWN). See its nodes.",
    "BUSY ": "Redis is busy with a script of another program (BUSY). Wait for its end, or stop it: "
    "redis-cli SCRIPT KILL.",
    "invalid username-password": "Redis does not know this user or password (WRONGPASS). Set "
    "INFERQ_REDIS_URL to redis://user:password@host.",
    "Authentication required": _NOAUTH,
    "already authenticated": _NOAUTH,  # as a client hears it that says HELLO first
}
_BY_TYPE: dict[type[Exception], str] = {
    exceptions.OutOfMemoryError: "Redis has reached its memory limit (maxmemory) and takes no new jobs. "
    "Try again later.",
    exceptions.ReadOnlyError: "Redis takes no writes, since it is a replica (READONLY). Name the primary "
    "in INFERQ_REDIS_URL, or make this server one: redis-cli REPLICAOF NO ONE.",
    exceptions.MasterDownError: "Redis is a replica that has lost its primary (MASTERDOWN). Wait until "
    "that is back, or name it in INFERQ_REDIS_URL.",
    exceptions.BusyLoadingError: "Redis loads its data from disk and serves no one until that is done "
    "(LOADING). Try again later.",
    exceptions.NoPermissionError: "Redis does not let this user do what inferq needs (NOPERM). Give it "
    "what SPECIFICATION.md names under Settings.",
}


class SlotAwayError(exceptions.RedisError):
    """A node of a Redis Cluster has done nothing, since it does not serve the slot of the keys, or not now.

    Its text begins with the code of the reply: MOVED, ASK, TRYAGAIN, CLUSTERDOWN.
    """


def describe_error(error: Exception) -> str:
    """Returns a sentence that says why Redis, or the network, has failed.

    Args:
        error: What the client library raised.
    """
    text = _POSITION_IN_SCRIPT.sub("", str(error)).strip().rstrip(".")
    for words, sentence in _BY_WORDS.items():
        if words in text:
            return sentence
    for kind, sentence in _BY_TYPE.items():
        if isinstance(error, kind):
            return sentence
    if isinstance(error, SlotAwayError):
        code = text.partition(" ")[0]
        return f"The Redis Cluster moves this queue to another node ({code}). Wait until that is done."
    return f"Redis does not serve us: {text or type(error).__name__}."


def is_refusal(error: BaseException | None) -> bool:
    """Whether the server has answered, if only that it will not do it: then it is not out of reach."""
    return isinstance(error, exceptions.ResponseError | SlotAwayError)


def is_lasting_refusal(error: BaseException | None) -> bool:
    """Whether the server has answered that it never does this, rather than that it cannot do it now.

    What passes has a code of its own: OOM, READONLY, MISCONF, LOADING, BUSY, NOREPLICAS, ….
    """
    return isinstance(error, exceptions.NoPermissionError) or (
        type(error) is exceptions.ResponseError and not _HAS_CODE.match(str(error))
    )
