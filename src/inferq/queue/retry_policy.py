"""What is tried again after a failure, after which pauses, and how often: jobs, and webhook deliveries."""

from dataclasses import dataclass
from random import uniform
from typing import Self

from inferq.errors import ErrorKind
from inferq.settings import Settings

RETRIED_KINDS = frozenset(
    {
        ErrorKind.MODEL_ERROR,
        ErrorKind.TIMED_OUT,
        ErrorKind.CRASHED,
        ErrorKind.INPUT_UNAVAILABLE,
        ErrorKind.OUTPUT_UNAVAILABLE,
    }
)
"""A job that failed in one of these ways may succeed when it runs again."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter, up to a number of attempts.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        max_attempts: Failed attempts after which there is no further one, at least 1. A crash of the worker
            counts as one only if the job ran alone: else another job of its batch may have caused it.
        base_seconds: Longest pause after the first failure.
        cap_seconds: Longest pause of all.
        factor: How many times longer the pause after each further failure may be.
        kinds: The kinds of errors that are tried again.
    """

    max_attempts: int
    base_seconds: float
    cap_seconds: float
    factor: float = 2.0
    kinds: frozenset[ErrorKind] = RETRIED_KINDS

    @classmethod
    def for_jobs(cls, settings: Settings) -> Self:
        """The policy for attempts to run a job."""
        return cls(settings.max_attempts, base_seconds=1.0, cap_seconds=60.0)

    @classmethod
    def for_webhooks(cls, settings: Settings) -> Self:
        """The policy for attempts to deliver a webhook: a receiver may be away for hours."""
        return cls(settings.webhook_attempts, base_seconds=5.0, cap_seconds=4 * 3600.0, factor=4.0)

    def retries(self, kind: ErrorKind) -> bool:
        """Whether an attempt that failed this way is followed by another, while attempts are left."""
        return kind in self.kinds

    def is_exhausted(self, attempts: int) -> bool:
        """Whether no attempt is left after so many have failed."""
        return attempts >= self.max_attempts

    def draw_delay(self, attempt: int) -> float:
        """Draws the pause before the next attempt.

        Args:
            attempt: The attempt that failed, 1 for the first.

        Returns:
            Seconds, between 0 and `base_seconds` times `factor` for each earlier failure, at most
            `cap_seconds`.
        """
        exponent = min(attempt - 1, 16)  # a float has no room for much more
        return uniform(0.0, min(self.cap_seconds, self.base_seconds * self.factor**exponent))  # noqa: S311
