"""Running the Lua scripts: by digest, and by source where the server has forgotten them.

A server forgets its scripts when it starts anew, fails over, or gets SCRIPT FLUSH. It then answers NOSCRIPT,
and the script is run again with its source, which the server remembers.

On a Redis Cluster a slot may be moved from one node to another, key by key. Scripts use keys that they do
not declare, and Lua is not rolled back: one that met a key that has left already would stop half way. So each
call also declares a key that never exists (`Keys.guard`), for which the node refuses it before it begins.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, cast

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from inferq.queue.redis_client.scripts import Script
from inferq.queue.schema.keys import Keys

type Command = tuple[Any, ...]


class ScriptCall(NamedTuple):
    """A script and what it is called with.

    Attributes:
        script: The script.
        keys: Its keys.
        arguments: Its arguments after the first, which is always the key prefix.
    """

    script: Script
    keys: Sequence[str | bytes]
    arguments: Sequence[Any]

    def by_digest(self, prefix: str) -> Command:
        """The command that runs a script which the server knows."""
        keys = (*self.keys, *guard) if (guard := name_guard(prefix)) else self.keys
        return "EVALSHA", self.script.digest, len(keys), *keys, prefix, *self.arguments

    def by_source(self, prefix: str) -> Command:
        """The command that runs it in any case, and lets the server know it."""
        keys = (*self.keys, *guard) if (guard := name_guard(prefix)) else self.keys
        return "EVAL", self.script.source, len(keys), *keys, prefix, *self.arguments


@cache
def name_guard(prefix: str) -> tuple[str, ...]:
    """Returns the key that a call declares besides its own: none where no hash tag says it is on a cluster.

    Args:
        prefix: The key prefix.
    """
    return (Keys(prefix).guard,) if "{" in prefix else ()


class ScriptRunner:
    """Runs scripts.

    Args:
        client: A client that answers in bytes.
        prefix: The key prefix, which every script gets as its first argument.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._redis = client
        self._prefix = prefix

    def run(self, call: ScriptCall) -> Any:  # noqa: ANN401 - as the script answers
        """Runs one script. It may run twice where a connection is lost, so it must be safe to repeat.

        Raises:
            RedisError: The server refuses it, or cannot be reached.
        """
        execute: Any = self._redis.execute_command
        try:
            return execute(*call.by_digest(self._prefix))
        except NoScriptError:
            return execute(*call.by_source(self._prefix))

    def run_together(self, calls: Sequence[ScriptCall], before: Sequence[Command] = ()) -> list[Any]:
        """Runs several scripts in one round trip, in order, each of them atomic by itself.

        Args:
            calls: The scripts.
            before: Commands that are sent before them. All may be repeated.

        Returns:
            The answer of each script.

        Raises:
            RedisError: The first error of any of them. What came after it has been run all the same.
        """
        try:
            answers = self._execute([*before, *(call.by_digest(self._prefix) for call in calls)])
        except NoScriptError:
            answers = self._execute([*before, *(call.by_source(self._prefix) for call in calls)])
        return answers[len(before) :]

    def _execute(self, commands: Sequence[Command]) -> list[Any]:
        pipeline: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return cast("list[Any]", pipeline.execute())


class AsyncScriptRunner:
    """Runs scripts for coroutines.

    Args:
        client: An asynchronous client that answers in bytes.
        prefix: The key prefix, which every script gets as its first argument.
    """

    def __init__(self, client: redis.asyncio.Redis, prefix: str) -> None:
        self._redis = client
        self._prefix = prefix

    async def run(self, call: ScriptCall) -> Any:  # noqa: ANN401 - as the script answers
        """Runs one script. It may run twice where a connection is lost, so it must be safe to repeat.

        Raises:
            RedisError: The server refuses it, or cannot be reached.
        """
        execute: Any = self._redis.execute_command
        try:
            return await execute(*call.by_digest(self._prefix))
        except NoScriptError:
            return await execute(*call.by_source(self._prefix))

    async def run_in_transaction(
        self, call: ScriptCall, before: Sequence[Command] = (), after: Sequence[Command] = ()
    ) -> tuple[Any, list[Any]]:
        """Runs a script in one transaction (MULTI, EXEC) with other commands. All of it may be repeated.

        Args:
            call: The script.
            before: Commands of the transaction that come before the script.
            after: Commands that follow the transaction on the same connection, as WAITAOF has to.

        Returns:
            What the script answers; and the replies to the commands of `after`, where an error is a reply.

        Raises:
            RedisError: The server refuses a command of the transaction, or cannot be reached.
        """
        try:
            return await self._transact(call.by_digest(self._prefix), before, after)
        except NoScriptError:
            return await self._transact(call.by_source(self._prefix), before, after)

    async def _transact(
        self, script: Command, before: Sequence[Command], after: Sequence[Command]
    ) -> tuple[Any, list[Any]]:
        pipeline: Any = self._redis.pipeline(transaction=False)
        for command in (("MULTI",), *before, script, ("EXEC",), *after):
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        end = len(before) + 2
        queued, done, replies_after = replies[:end], replies[end], replies[end + 1 :]
        # a command that is refused already when it is queued aborts the transaction
        answer = done[-1] if isinstance(done, list) else done
        for reply in (*queued, answer):
            if isinstance(reply, Exception):
                raise reply
        return answer, replies_after
