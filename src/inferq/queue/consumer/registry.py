"""What Redis knows of the live workers and their models: heartbeats and announcements."""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from textwrap import shorten
from typing import Any, cast

from inferq.jobs import Pace, WorkerInfo
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors, start_errors
from inferq.queue.schema.decoding import decode_rollouts
from inferq.queue.schema.times import to_milliseconds
from inferq.rollout import Rollout

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._-]")
_MOST_LEFT_OUT = 100
_LONGEST_REASON = 500
_MOST_PACES = 1000


def make_worker_id(host: str) -> str:
    """Makes an id for this process, of letters, digits, `.`, `_` and `-` only.

    Records, keys and lists put it beside separators (`|`, `:`, spaces), and a host may have any name.

    Args:
        host: Name of this host; what else it contains becomes `-`.

    Returns:
        Host, process id and a random part.
    """
    return f"{_NOT_IN_ID.sub('-', host)}-{os.getpid()}-{secrets.token_hex(3)}"


class WorkerRegistry:
    """Announces one worker.

    Args:
        access: The server.
        worker_id: The worker's id.
        model_ttl_seconds: How long a model stays announced that no worker serves.
    """

    def __init__(self, access: QueueAccess, worker_id: str, model_ttl_seconds: float) -> None:
        self._access = access
        self._worker_id = worker_id
        self._model_ttl_ms = to_milliseconds(model_ttl_seconds)

    def announce(self, documents: Mapping[str, bytes]) -> None:
        """Tells the proxies which models are served.

        Args:
            documents: Model name to the JSON of its document; replaces earlier ones of the same name.

        Raises:
            InvalidSettingError: This user may not do that.
            RedisUnavailableError: Redis is away.
        """
        with start_errors(), redis_errors():
            arguments = ["HSET", *(part for pair in documents.items() for part in pair)]
            self._access.call(scripts.WRITE_AT_OOM, [self._access.keys.models], arguments)

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> int:
        """Reports that this worker lives, and announces the models that Redis may have lost.

        Models that no worker has had for so long are not announced any more.

        Args:
            worker: The worker as it is now.
            documents: Model name to the JSON of its document.
            ttl_seconds: How long the worker counts as live.

        Returns:
            The generation of the model repository. Where the worker has reported another one, it has to read
            the rollouts and the repository again, and to report this one then.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        fields = {
            "host": worker.host,
            "pid": worker.pid,
            "models": " ".join(worker.models),
            "started_at": worker.started_at.isoformat(),
            "jobs_done": worker.jobs_done,
            "left_out": _shorten(worker.left_out),
            "versions": json.dumps(dict(worker.model_versions)),
            "inferq": worker.inferq_version,
            "forms": " ".join(worker.forms),
            "sent_ms": round(time.time() * 1000),
            "open_circuits": worker.open_circuits,
            "blob_store": worker.blob_store,
            "paces": _encode_paces(worker.paces),
            "generation": "" if worker.repository_generation is None else worker.repository_generation,
        }
        arguments: list[Any] = [worker.id, to_milliseconds(ttl_seconds), self._model_ttl_ms, len(fields)]
        for pair in (*fields.items(), *documents.items()):
            arguments += pair
        with redis_errors():
            generation = self._access.call(scripts.HEARTBEAT, [self._access.keys.workers], arguments)
        return int(generation)

    def read_rollouts(self) -> dict[str, Rollout]:
        """Returns the rollouts that operators have set, by model; what is unreadable is left out.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            stored = cast("dict[bytes, bytes]", self._access.redis.hgetall(self._access.keys.rollouts))
        return decode_rollouts(stored)

    def withdraw(self, names: Sequence[str]) -> list[str]:
        """Takes queues out of the announcements that this worker serves no more, unless another one does.

        Args:
            names: Names of the queues.

        Returns:
            For each: served (by another live worker), open (some jobs have not ended), or drained.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            states = self._access.call(
                scripts.WITHDRAW, [self._access.keys.models], [self._worker_id, *names]
            )
        return [state.decode() for state in states]

    def retire(self) -> None:
        """Removes this worker: it is about to exit."""
        with redis_errors():
            self._access.redis.delete(self._access.keys.worker(self._worker_id))
            self._access.redis.zrem(self._access.keys.workers, self._worker_id)


def _shorten(left_out: Mapping[str, str]) -> str:
    """Models and reasons as JSON that a heartbeat can carry."""
    some = islice(left_out.items(), _MOST_LEFT_OUT)
    return json.dumps({name: shorten(reason, _LONGEST_REASON, placeholder=" …") for name, reason in some})


def _encode_paces(paces: Mapping[str, Pace]) -> str:
    """Models and paces as JSON: for each its numbers in their order."""
    return json.dumps(dict(islice(paces.items(), _MOST_PACES)), separators=(",", ":"))
