"""Receivers that do not answer: they must not keep others from being told."""

import random
from dataclasses import dataclass

LONGEST_REST_SECONDS = 300.0


@dataclass(slots=True)
class _Trouble:
    failures: int
    rests_until: float
    is_probed: bool = False


class CircuitBreakers:
    """Gives an origin that did not answer a rest, doubled each time.

    After it there is one call at a time, until it answers.

    Args:
        first_rest_seconds: The first rest.
    """

    def __init__(self, first_rest_seconds: float) -> None:
        self._first_rest_seconds = first_rest_seconds
        self._troubled: dict[str, _Trouble] = {}

    def delay(self, origin: str, now: float) -> float:
        """How long not to call an origin, in seconds; 0: call it now, and say then how it went.

        Args:
            origin: Scheme, host and port.
            now: Monotonic time, s.
        """
        trouble = self._troubled.get(origin)
        if trouble is None:
            return 0.0
        rest = max(trouble.rests_until - now, 0.0)
        if rest == 0.0 and not trouble.is_probed:
            trouble.is_probed = True
            return 0.0
        return rest + random.uniform(0.0, self._rest(trouble.failures))  # noqa: S311

    def note(self, origin: str, now: float, *, has_answered: bool) -> None:
        """Notes how a call went.

        Args:
            origin: Scheme, host and port.
            now: Monotonic time, s.
            has_answered: Whether there was an HTTP answer, whatever it said.
        """
        if has_answered:
            self._troubled.pop(origin, None)
            return
        trouble = self._troubled.get(origin)
        if trouble is None:
            self._forget(now)
            self._troubled[origin] = _Trouble(1, now + self._rest(1))
        elif trouble.rests_until <= now:  # of several calls that fail together one counts
            trouble.failures += 1
            trouble.rests_until = now + self._rest(trouble.failures)
            trouble.is_probed = False

    def _forget(self, now: float) -> None:
        """Drops those that nobody has called for long."""
        for origin, trouble in list(self._troubled.items()):
            if trouble.rests_until + 2 * LONGEST_REST_SECONDS < now:
                del self._troubled[origin]

    def _rest(self, failures: int) -> float:
        return min(LONGEST_REST_SECONDS, self._first_rest_seconds * 2.0 ** min(failures - 1, 10))
