"""Which models the workers of a host are loading: what a worker leaves behind that dies of one.

A note of what a process is loading survives its death, wherever a container keeps no file. The next worker of
the host finds it, and is careful. What must not be loaded at all is noted by a stamp of the model's folder.
"""

import math
import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog

from inferq.errors import RedisUnavailableError
from inferq.processes import is_running
from inferq.queue.redis_client.connection import connect, redis_errors
from inferq.queue.schema.decoding import decode_text
from inferq.queue.schema.keys import Keys
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings

LOAD_NOTE_SECONDS = 3600
"""How long a note is kept, and a model left out because of one, without a change in its folder."""

MOST_DEATHS = 3
"""After so many in a row a model is left out without another try. The first may be no model's fault, and then
all are loaded by another process first; but where memory runs out, a whole container may be killed."""

log = structlog.get_logger()


class ModelLoads:
    """The notes of one worker process. While Redis is away, nothing is noted and nothing is found.

    Of several shards the first one has them: what is sought must be where it was noted.

    Args:
        settings: Where the server is, and the key prefix.
        host: Host name.
    """

    def __init__(self, settings: Settings, host: str) -> None:
        settings = split_settings(settings)[0]
        keys = Keys(settings.key_prefix)
        self._redis = connect(settings)
        self._loading, self._loaded, self._unloadable = keys.loading(host), keys.loaded, keys.unloadable
        self._load_turn = keys.load_turn
        self._pid = str(os.getpid())
        self._dead: list[str] = []
        self._deaths: dict[str, int] = {}
        self._is_away = False

    def find_dead(self) -> bool:
        """Whether workers of this host died while they loaded a model.

        A model by which that happened `MOST_DEATHS` times in a row is not to be loaded again, unless some
        worker has loaded it recently: then something else has killed them.
        """
        notes = self._ask(lambda: cast("dict[bytes, bytes]", self._redis.hgetall(self._loading)), {})
        for pid, note in ((decode_text(pid), decode_text(note)) for pid, note in notes.items()):
            if pid == self._pid or not is_running(pid):
                self._dead.append(pid)
                number, _, stamp = note.partition(" ")
                deaths = int(number) if re.fullmatch("[1-9]", number) else 1
                self._deaths[stamp] = max(deaths, self._deaths.get(stamp, 0))
        for stamp, deaths in self._deaths.items():
            if deaths >= MOST_DEATHS and not self._ask(partial(self._redis.exists, self._loaded(stamp)), 1):
                self.condemn(stamp, f"{deaths} workers in a row died while they loaded it.")
        return bool(self._dead)

    def find_reason(self, stamp: str) -> str | None:
        """Why a model must not be loaded; None if it may.

        Args:
            stamp: Stamp of the model's folder.
        """
        get = cast("Callable[[], bytes | None]", partial(self._redis.get, self._unloadable(stamp)))
        reason = self._ask(get, None)
        return None if reason is None else decode_text(reason)

    def begin(self, stamp: str) -> None:
        """Notes what is about to be loaded, by this process or one that it has started.

        Args:
            stamp: Stamp of the model's folder.
        """
        number = self._deaths.get(stamp, 0) + 1  # of the death that this would be

        def note() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hset(self._loading, self._pid, f"{number} {stamp}")
            pipeline.expire(self._loading, LOAD_NOTE_SECONDS)
            pipeline.execute()

        self._ask(note, None)

    def is_loaded(self, stamp: str) -> bool:
        """Whether a worker has loaded a model of late.

        Args:
            stamp: Stamp of the model's folder.
        """
        return bool(self._ask(lambda: self._redis.exists(self._loaded(stamp)), 0))

    def take_load_turn(self, stamp: str, seconds: float) -> bool:
        """Whether it is this worker's turn to have another process load a model; the others wait for that.

        Args:
            stamp: Stamp of the model's folder.
            seconds: How long that may take.
        """
        set_key = partial(self._redis.set, self._load_turn(stamp), self._pid, nx=True, ex=math.ceil(seconds))
        return bool(self._ask(set_key, 1))

    def end_load_turn(self, stamp: str) -> None:
        """Ends this worker's turn."""
        self._ask(lambda: self._redis.delete(self._load_turn(stamp)), None)

    def note_loaded(self, stamp: str) -> None:
        """Notes that a model has been loaded, so that deaths are not its fault."""
        self._ask(lambda: self._redis.set(self._loaded(stamp), "1", ex=LOAD_NOTE_SECONDS), None)

    def condemn(self, stamp: str, reason: str) -> None:
        """Notes that a model must not be loaded again as it is."""
        self._is_away = False  # it may be back
        self._ask(lambda: self._redis.set(self._unloadable(stamp), reason, ex=LOAD_NOTE_SECONDS), None)

    def end(self) -> None:
        """Notes that this process loads nothing any more, and forgets those that died before."""
        self._ask(lambda: self._redis.hdel(self._loading, self._pid, *self._dead), None)
        self._dead, self._is_away = [], False  # as it may load others later
        self.close()

    def close(self) -> None:
        """Closes the connection, as loads are rare; the next call opens another."""
        self._redis.close()

    def _ask[T](self, call: Callable[[], T], otherwise: Any) -> T:  # noqa: ANN401 - what the call would return
        if not self._is_away:
            try:
                with redis_errors():
                    return call()
            except RedisUnavailableError as error:
                self._is_away = True  # a start must not wait for it model after model
                log.debug("loads_not_noted", reason=error.message)
        return cast("T", otherwise)
