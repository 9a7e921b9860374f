"""Leases waiting jobs to this worker."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import batched
from typing import Any

from inferq.jobs import ClaimedJob, Priority
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.blob_data import BlobData
from inferq.queue.consumer.blobs.large_data import LargeData
from inferq.queue.consumer.claims.claim_order import ClaimOrder
from inferq.queue.consumer.claims.served_queues import ServedQueues
from inferq.queue.ended_jobs import NoteEnded, decode_changed
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import REPEATABLE
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.decoding import decode_text, decode_time
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.queue.schema.times import to_milliseconds

type Limit = int | Mapping[str, int]
"""Most jobs to claim, at least 1, of any model that is served; or the same for each model to claim from."""


_PARTS = 9
"""So many parts has the answer of a claim that has ended no job."""


@dataclass(frozen=True, slots=True)
class Popped:
    """A job id that BRPOP handed to this worker. Until it is claimed, only `recover` can find it again.

    Attributes:
        id: Job id.
        model: Model of the list it came from.
        priority: Priority of that list.
        token: Fencing token to claim it with.
        shard: Number of the shard of that list.
    """

    id: str
    model: str
    priority: Priority
    token: str
    shard: int = 0


def new_token() -> str:
    """A fencing token for one claim."""
    return secrets.token_hex(16)


class Claimer:
    """Makes claims, and reads what they bring.

    Args:
        access: The server.
        order: Which lists come first.
        large_data: Fetches what does not pass through a script.
        blob_data: Reads what lies in the blob store.
        queues: What is claimed from, and the version that is noted.
        worker_id: Who claims.
        note_ended: Is told of jobs that are ended instead of being leased.
        shard: See below.

    Attributes:
        shard: Number of the shard that this is.
    """

    def __init__(
        self,
        access: QueueAccess,
        order: ClaimOrder,
        large_data: LargeData,
        blob_data: BlobData,
        queues: ServedQueues,
        worker_id: str,
        note_ended: NoteEnded,
        shard: int,
    ) -> None:
        self._access = access
        self._order = order
        self._large_data = large_data
        self._blob_data = blob_data
        self._queues = queues
        self._worker_id = worker_id
        self._note_ended = note_ended
        self.shard = shard

    def claim(
        self, limit: Limit, popped: Popped | None = None, token: str = "", *, takes_solo: bool = True
    ) -> list[ClaimedJob]:
        """Leases waiting jobs of one model to this worker.

        Args:
            limit: Most jobs to claim. With 0 none but the popped one.
            popped: The id that `wait_and_claim` could not claim; it is taken first.
            token: Fencing token; a claim repeated with it, since its answer was lost, gets the same jobs.
            takes_solo: Whether to take a job that must run alone, since a worker died with it.

        Returns:
            The jobs, the oldest first; those of `high` before others, but for the share of the lower
            priorities; none if none wait. Models take turns.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        token = token or (popped.token if popped else new_token())
        call = self.prepare(limit, token, self._order.draw_priorities(), popped=popped, takes_solo=takes_solo)
        is_urgent = popped is not None and limit != 0  # else it is to be requeued
        with redis_errors():
            return self.read(self._call_soon(call) if is_urgent else self._access.call(*call), token)

    def prepare(
        self,
        limit: Limit,
        token: str,
        priorities: tuple[Priority, ...],
        *,
        popped: Popped | None = None,
        takes_solo: bool = True,
        sure_ms: int = 0,
    ) -> ScriptCall:
        """Makes a claim that is sent later.

        Args:
            limit: Most jobs to claim.
            token: Fencing token.
            priorities: The priorities in the order of their lists.
            popped: What BRPOP has popped, if that is known.
            takes_solo: Whether to take a job that must run alone, since a worker died with it.
            sure_ms: For a claim behind a BRPOP: within this time of it something was popped. Else 0.
        """
        settings, versions = self._access.settings, self._queues.versions
        self._order.follow(versions if isinstance(limit, int) else limit)
        models = [popped.model] if popped else self._order.models
        script, arguments = scripts.CLAIM, list[Any]([int(takes_solo)])
        if popped:
            script, arguments = scripts.CLAIM_POPPED, [encode_id(popped.id), popped.priority]
        elif sure_ms:
            script, arguments = scripts.CLAIM_BEHIND_POP, [sure_ms]
        shared = [
            to_milliseconds(settings.lease_seconds), self._worker_id, token,
            to_milliseconds(settings.job_ttl_seconds), to_milliseconds(settings.result_ttl_seconds),
            INLINE_BYTES, " ".join(priorities),
        ]  # fmt: skip
        for model in models:
            # what was popped in doubt may be of a model that is not served any more
            most = limit if isinstance(limit, int) else limit.get(model, 0)
            arguments += (model, versions.get(model, ""), most)
        keys = [self._access.keys.queue(name) for name in models]
        return ScriptCall(script, keys, [*shared, *arguments])

    def read(self, answer: list[Any], token: str) -> list[ClaimedJob]:
        """The jobs that a claim brings, with all their data.

        Args:
            answer: What the claim script answers. Ends at its end are taken out and told, so that nobody is
                told of them again if it is read again.
            token: The claim's fencing token.

        Raises:
            RedisError: Large data could not be fetched, as the server is away.
        """
        if len(answer) > _PARTS:
            self._note_ended(decode_changed(answer.pop()))
        model, _, found, *_, solo_priority, _ = answer
        if solo_priority:
            self._order.solo_priority = Priority(solo_priority.decode())
        jobs = self.read_leased(answer, token)
        if not jobs:
            return []
        if large := {index: length for index, length in enumerate(found) if type(length) is int}:
            jobs = self._large_data.fetch_into(jobs, large)
        self._order.move_back(model.decode())
        return self._blob_data.read_into(jobs)

    def read_leased(self, answer: list[Any], token: str) -> list[ClaimedJob]:
        """The jobs that a claim brings, if any; data that is large is still to be fetched, and empty."""
        model, ids, found, submitted, request_ids, traceparents, unusual = answer[0].decode(), *answer[1:7]
        if not ids:
            return []
        claimed_for, shard = answer[8].decode(), self.shard
        jobs = [
            ClaimedJob(
                decode_id(job_id),
                model,
                data if type(data) is bytes else b"",
                1,
                token,
                decode_time(ms),
                request_id,
                traceparent,
                None,
                "",
                claimed_for,
                shard,
            )
            for job_id, data, ms, request_id, traceparent in zip(
                ids,
                found,
                submitted.split(b","),
                decode_text(request_ids).split(","),
                decode_text(traceparents).split(","),
                strict=True,
            )
        ]
        for index, attempt, timeout_ms, output, alone in batched(unusual, 5, strict=True):
            seconds, where = timeout_ms / 1000 if timeout_ms else None, decode_text(output)
            jobs[index] = jobs[index]._replace(
                attempt=attempt, timeout_seconds=seconds, output=where, runs_alone=bool(alone)
            )
        return jobs

    def _call_soon(self, call: ScriptCall) -> Any:  # noqa: ANN401 - as the script answers
        """Calls it on the connection that popped the id: of all it is the fastest."""
        try:
            return self._access.pipelined.execute(call.by_digest(self._access.keys.prefix))[0]
        except REPEATABLE:
            return self._access.call(*call)
