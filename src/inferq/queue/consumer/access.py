"""What all parts of the consumer's side share: the server, the names of its keys, and the settings."""

from collections.abc import Sequence
from typing import Any

from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import connect
from inferq.queue.redis_client.pipelined import PipelinedConnection
from inferq.queue.redis_client.script_calls import Command, ScriptCall, ScriptRunner
from inferq.queue.redis_client.scripts import Script
from inferq.queue.schema.keys import Keys
from inferq.queue.schema.times import to_milliseconds
from inferq.settings import Settings

_LOADS = [
    ("SCRIPT", "LOAD", script.source)
    for script in (
        scripts.FINISH, scripts.WRITE_AT_OOM, scripts.CLAIM, scripts.CLAIM_POPPED, scripts.CLAIM_BEHIND_POP,
    )
]  # fmt: skip
"""These scripts are sent behind one another without waiting, so the server must know them beforehand."""


class QueueAccess:
    """The way of one worker to the server.

    Args:
        settings: Where the server is, lifetimes, and the key prefix.

    Attributes:
        settings: See above.
        keys: Names of the keys.
        redis: A client for any thread.
        scripts: Runs scripts, for any thread.
        pipelined: A connection for the thread that claims: commands are sent before earlier ones are
            answered.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.redis = connect(settings)
        self.scripts = ScriptRunner(self.redis, settings.key_prefix)
        self.pipelined = PipelinedConnection(self.redis, _LOADS)

    @property
    def result_ttl_ms(self) -> int:
        """How long the keys of an ended job are kept."""
        return to_milliseconds(self.settings.result_ttl_seconds)

    @property
    def lifetime_ms(self) -> int:
        """How long the keys of a job that has not ended are kept: until it failed as expired and was read."""
        return to_milliseconds(self.settings.job_ttl_seconds + self.settings.result_ttl_seconds)

    def load_scripts(self) -> None:
        """Lets a server know the scripts of `pipelined` again that has forgotten them.

        Raises:
            RedisError: The server cannot be reached.
        """
        for command in _LOADS:
            self.redis.execute_command(*command)  # type: ignore[no-untyped-call]

    def call(self, script: Script, keys: Sequence[str | bytes], arguments: Sequence[Any]) -> Any:  # noqa: ANN401 - as the script answers
        """Runs a script.

        Raises:
            RedisError: The server refuses it, or cannot be reached.
        """
        return self.scripts.run(ScriptCall(script, keys, arguments))

    def command(self, call: ScriptCall) -> Command:
        """The command for a script that the server knows."""
        return call.by_digest(self.keys.prefix)

    def close(self) -> None:
        """Closes the connections."""
        self.pipelined.disconnect()
        self.redis.close()
