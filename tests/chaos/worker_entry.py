"""A worker that dies at chosen points: `python -m tests.chaos.worker_entry`, with CHAOS_* in its environment.

It is the real worker with two classes replaced, so that the product's code has no hooks for this.

    CHAOS_SEED         decides when it dies
    CHAOS_DEATH        probability of dying, at each point passed
    CHAOS_GAP_DEATH    the same between BRPOP and a claim of what it popped
    CHAOS_LOST_REPLY   probability that an answer of the server is thrown away
    CHAOS_TALLY        file that each death, lost answer and unusual verdict is noted in, one a line
    CHAOS_HASTE        divides the pauses before a retry, and before what was lost in BRPOP is put back
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
from inferq.jobs import ClaimedJob, Outcome
from inferq.models.model import Inputs, Model, RunHandle
from inferq.queue.consumer import consumer, orphans
from inferq.queue.consumer.consumer import BLOCK_SECONDS, Consumer, Popped
from inferq.queue.consumer.prefetch import Answer, PrefetchedClaim
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import PipelinedConnection
from inferq.queue.retry_policy import RetryPolicy
from inferq.settings import Settings
from inferq.worker import main as worker

KILLER_DATA = b"[[6.66,6.66,6.66,6.66]]"
"""A job that takes every worker down that runs it."""

_random = Random(os.environ.get("CHAOS_SEED", "0"))
_predict = Model.predict_together
_decode = Model.decode
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


class DyingLine(PipelinedConnection):
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
            note("lost reply on the line")
            self.hang_up()
            raise RedisConnectionError("The answer was thrown away on purpose.")
        return answers


class DyingConsumer(Consumer):
    """The queue as a worker sees it that may die at every step."""

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        models: Sequence[str],
        versions: Mapping[str, str] | None = None,
    ) -> None:
        retries = RetryPolicy.for_jobs(settings)
        haste = float(os.environ.get("CHAOS_HASTE", "1"))
        retries = replace(retries, base_seconds=retries.base_seconds / haste)
        super().__init__(settings, worker_id, models, versions, retries=retries)
        self._line = DyingLine(self._redis, self._line.prelude)

    def take(
        self,
        limit: int | Mapping[str, int],
        outcomes: Sequence[Outcome] = (),
        noted: Callable[[list[str]], None] = lambda _: None,
        timeout_seconds: float = BLOCK_SECONDS,
    ) -> list[ClaimedJob] | Popped:
        def note_first(verdicts: list[str]) -> None:
            note_verdicts(verdicts)
            noted(verdicts)

        with redis_errors():
            if chance("CHAOS_GAP_DEATH") and self._redis.brpop(list(self._lists), timeout_seconds):
                die("after BRPOP")
        return super().take(limit, outcomes, note_first, timeout_seconds)

    def claim(
        self, limit: int | Mapping[str, int], popped: Popped | None = None, token: str = ""
    ) -> list[ClaimedJob]:
        jobs = super().claim(limit, popped, token)
        if jobs:
            maybe_die("after claim")
            maybe_lose_reply("claim")
        return jobs

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        maybe_die("before finish")
        verdicts = super().finish(outcomes)
        note_verdicts(verdicts)
        maybe_die("after finish")
        maybe_lose_reply("finish")
        return verdicts

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        limit: int | Mapping[str, int],
        token: str,
        *,
        takes_alone: bool = True,
    ) -> tuple[list[str], list[ClaimedJob]]:
        maybe_die("before finish")
        verdicts, jobs = super().exchange(outcomes, limit, token, takes_alone=takes_alone)
        note_verdicts(verdicts)
        maybe_die("after finish")
        maybe_lose_reply("exchange")
        return verdicts, jobs

    def prepare_exchange(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], token: str, *, takes_alone: bool = True
    ) -> PrefetchedClaim:
        exchange = super().prepare_exchange(outcomes, limits, token, takes_alone=takes_alone)
        answer = exchange.answer

        def answer_and_note() -> Answer:
            verdicts, jobs = answer()
            note_verdicts(verdicts)
            return verdicts, jobs

        exchange.answer = answer_and_note  # type: ignore[method-assign]
        return exchange


def note_verdicts(verdicts: list[str]) -> None:
    """Notes every end of an attempt that is not the usual one."""
    for verdict in verdicts:
        if verdict not in ("completed", "failed"):
            note(f"verdict {verdict}")


def dying_decode(model: Model, data: bytes) -> Inputs:
    """Reads a job's data, or dies of it."""
    if data == KILLER_DATA:
        die("killer job")
    return _decode(model, data)


def dying_decode_together(model: Model, several: Sequence[bytes]) -> list[Inputs] | None:
    """The same for several jobs."""
    if KILLER_DATA in several:
        die("killer job")
    return _decode_together(model, several)


def dying_predict(model: Model, jobs: Sequence[Inputs], handle: RunHandle | None = None) -> list[bytes]:
    """Runs the model, or dies while it runs."""
    results = _predict(model, jobs, handle)
    maybe_die("during the run")
    return results


def hurry(factor: float) -> None:
    """Shortens what a short test has no time for."""
    for module, name in (
        (consumer, "MISSING_SECONDS"),
        (orphans, "ROUND_SECONDS"),
    ):
        patch.object(module, name, getattr(module, name) / factor).start()


def main(run: Callable[[], None] = worker.main) -> None:
    """Runs the worker."""
    hurry(float(os.environ.get("CHAOS_HASTE", "1")))
    with (
        patch.object(worker, "Consumer", DyingConsumer),
        patch.object(Model, "decode", dying_decode),
        patch.object(Model, "decode_together", dying_decode_together),
        patch.object(Model, "predict_together", dying_predict),
    ):
        run()


if __name__ == "__main__":
    main()
