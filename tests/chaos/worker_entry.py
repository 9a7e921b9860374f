"""A worker that dies at chosen points: `python -m tests.chaos.worker_entry`, with CHAOS_* in its environment.

It is the real worker with some classes replaced, so that the product's code has no hooks for this.

    CHAOS_SEED         decides when it dies
    CHAOS_DEATH        probability of dying, at each point passed
    CHAOS_GAP_DEATH    the same between BRPOP and a claim of what it popped
    CHAOS_LOST_REPLY   probability that an answer of the server is thrown away
    CHAOS_TALLY        file that each death, lost answer and unusual verdict is noted in, one a line
    CHAOS_HASTE        divides the pauses before a retry, and before what was lost in BRPOP is requeued
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome, Priority
from inferq.models.decoded_job import DecodedJob
from inferq.models.model import Model
from inferq.models.sessions.run_handle import RunHandle
from inferq.queue.consumer import consumer
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.blocking_claim import BLOCK_SECONDS, WaitResult
from inferq.queue.consumer.claims.prefetch import PrefetchedClaim, PrefetchResult
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import PipelinedConnection
from inferq.queue.redis_client.script_calls import Command, ScriptCall, ScriptRunner
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.shards import consumer_choice
from inferq.settings import Settings
from inferq.tensors.forms import DataRequest
from inferq.tensors.values import Buffer
from inferq.worker import main as worker

KILLER_DATA = b"[[6.66,6.66,6.66,6.66]]"
"""A job that takes every worker down that runs it."""

_random = Random(os.environ.get("CHAOS_SEED", "0"))
_predict = Model.predict_together
_read = Model.read
_decode_together = Model.decode_together


def note(what: str) -> None:
    """Writes a line that survives the death of this process."""
    with Path(os.environ["CHAOS_TALLY"]).open("ab") as tally:
        tally.write(f"{what}\n".encode())


def chance(variable: str) -> bool:
    """Whether something that has a probability in the environment happens now."""
    return _random.random() < float(os.environ.get(variable, "0"))


def maybe_die(point: str, variable: str = "CHAOS_DEATH") -> None:
    """Ends this process at once, with the probability that a variable gives."""
    if chance(variable):
        die(point)


def die(point: str) -> None:
    """Ends this process as `kill -9` does."""
    note(f"death {point}")
    os.kill(os.getpid(), signal.SIGKILL)


def maybe_lose_reply(command: str) -> None:
    """Makes the worker believe that the server did not answer."""
    if chance("CHAOS_LOST_REPLY"):
        note(f"lost reply of {command}")
        raise RedisUnavailableError("The answer was thrown away on purpose.")


class DyingConnection(PipelinedConnection):
    """A connection whose worker may die whenever it uses it, or not hear the answer."""

    def send(self, packed: bytes | Iterable[bytes | memoryview]) -> Any:
        maybe_die("before sending")
        sent_on = super().send(packed)
        maybe_die("with commands on their way")
        return sent_on

    def receive(self, count: int, sent_on: Any, seconds: float | None = None) -> list[Any]:
        answers = super().receive(count, sent_on, seconds)
        maybe_die("before it reads the answer")
        if chance("CHAOS_LOST_REPLY"):
            note("lost reply on the pipelined connection")
            self.disconnect()
            raise RedisConnectionError("The answer was thrown away on purpose.")
        return answers


class DyingScripts(ScriptRunner):
    """Runs scripts for a worker that may die before and after a finish or a claim, or not hear the answer."""

    def run(self, call: ScriptCall) -> Any:
        name = call.script.name
        if name not in ("finish", "claim"):
            return super().run(call)
        maybe_die(f"before {name}")
        answer = super().run(call)
        maybe_die(f"after {name}")
        maybe_lose_reply(name)
        return answer

    def run_together(self, calls: Sequence[ScriptCall], before: Sequence[Command] = ()) -> list[Any]:
        maybe_die("before finish and claim")
        answers = super().run_together(calls, before)
        maybe_die("after finish and claim")
        maybe_lose_reply("finish and claim")
        return answers


class DyingAccess(QueueAccess):
    """The server as such a worker sees it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.scripts = DyingScripts(self.redis, settings.key_prefix)
        self.pipelined = DyingConnection(self.redis, self.pipelined.setup_commands)


class DyingConsumer(Consumer):
    """The queue as a worker sees it that may die at every step."""

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        models: Sequence[str],
        versions: Mapping[str, str] | None = None,
        **notes: Any,
    ) -> None:
        haste = float(os.environ.get("CHAOS_HASTE", "1"))
        retries, times = RetryPolicy.for_jobs(settings), RecoveryTimes()
        super().__init__(
            settings,
            worker_id,
            models,
            versions,
            retries=replace(retries, base_seconds=retries.base_seconds / haste),
            times=replace(
                times,
                missing_seconds=times.missing_seconds / haste,
                scan_round_seconds=times.scan_round_seconds / haste,
            ),
            **notes,
        )

    def wait_and_claim(
        self,
        limit: int | Mapping[str, int],
        outcomes: Sequence[Outcome] = (),
        timeout_seconds: float = BLOCK_SECONDS,
        note_stored: Callable[[list[str]], None] | None = None,
    ) -> WaitResult:
        models = [] if isinstance(limit, int) else list(limit)
        lists = [self.access.keys.list(model, priority) for priority in Priority for model in models]
        with redis_errors():
            if chance("CHAOS_GAP_DEATH") and self.access.redis.brpop(lists, timeout_seconds):
                die("after BRPOP")
        result = super().wait_and_claim(limit, outcomes, timeout_seconds, note_stored)
        note_verdicts(result.verdicts)
        return result

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        verdicts = super().finish(outcomes)
        note_verdicts(verdicts)
        return verdicts

    def prepare_prefetch(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], *, takes_solo: bool = True
    ) -> PrefetchedClaim:
        prefetched = super().prepare_prefetch(outcomes, limits, takes_solo=takes_solo)
        answer = prefetched.answer

        def answer_and_note() -> PrefetchResult:
            result = answer()
            note_verdicts(result.verdicts)
            return result

        prefetched.answer = answer_and_note  # type: ignore[method-assign]
        return prefetched


def note_verdicts(verdicts: list[str]) -> None:
    """Notes every end of an attempt that is not the usual one."""
    for verdict in verdicts:
        if verdict not in ("completed", "failed"):
            note(f"verdict {verdict}")


def dying_read(model: Model, data: Buffer) -> DataRequest:
    """Reads a job's data, or dies of it."""
    if data == KILLER_DATA:
        die("killer job")
    return _read(model, data)


def dying_decode_together(model: Model, several: Sequence[bytes]) -> list[DecodedJob] | None:
    """The same for several jobs."""
    if KILLER_DATA in several:
        die("killer job")
    return _decode_together(model, several)


def dying_predict(model: Model, jobs: Sequence[DecodedJob], handle: RunHandle | None = None) -> list[bytes]:
    """Runs the model, or dies while it runs."""
    results = _predict(model, jobs, handle)
    maybe_die("during the run")
    return results


def main(run: Callable[[], None] = worker.main) -> None:
    """Runs the worker."""
    with (
        patch.object(consumer_choice, "Consumer", DyingConsumer),
        patch.object(consumer, "QueueAccess", DyingAccess),
        patch.object(Model, "read", dying_read),
        patch.object(Model, "decode_together", dying_decode_together),
        patch.object(Model, "predict_together", dying_predict),
    ):
        run()


if __name__ == "__main__":
    main()
