"""Circuit breakers: a receiver that does not answer must not take the attempts of the others."""

import random
from dataclasses import dataclass

LONGEST_OPEN_SECONDS = 300.0


@dataclass(slots=True)
class _Circuit:
    """The circuit of an origin that did not answer; those of all other origins are closed.

    Attributes:
        failures: Failed calls since it was closed; those that fail while it is open do not count.
        open_until: Monotonic time until which it is open; half-open after that.
        is_probed: Whether the one call that a half-open circuit lets through is under way.
    """

    failures: int
    open_until: float
    is_probed: bool = False


class CircuitBreakers:
    """A circuit breaker for each origin.

    - closed: Every call is let through. A call without an answer opens the circuit.
    - open: No call is let through for a time, which doubles with each failure.
    - half-open: One call is let through. An answer closes the circuit, no answer opens it again.

    Args:
        first_open_seconds: How long a circuit is open after the first failure.
    """

    def __init__(self, first_open_seconds: float) -> None:
        self._first_open_seconds = first_open_seconds
        self._circuits: dict[str, _Circuit] = {}

    def __len__(self) -> int:
        """How many circuits are not closed."""
        return len(self._circuits)

    def acquire(self, origin: str, now: float) -> float:
        """Asks for a call.

        Args:
            origin: Scheme, host and port.
            now: Monotonic time, s.

        Returns:
            0 if the call is let through: `record` must follow. Else in how many seconds to ask again.
        """
        circuit = self._circuits.get(origin)
        if circuit is None:
            return 0.0
        left_seconds = max(circuit.open_until - now, 0.0)
        if left_seconds == 0.0 and not circuit.is_probed:
            circuit.is_probed = True
            return 0.0
        return left_seconds + random.uniform(0.0, self._open_seconds(circuit.failures))  # noqa: S311

    def record(self, origin: str, now: float, *, has_answered: bool) -> None:
        """Records how a call went.

        Args:
            origin: Scheme, host and port.
            now: Monotonic time, s.
            has_answered: Whether there was an HTTP answer, of whatever status.
        """
        if has_answered:
            self._circuits.pop(origin, None)
            return
        circuit = self._circuits.get(origin)
        if circuit is None:
            self._forget_old(now)
            self._circuits[origin] = _Circuit(1, now + self._open_seconds(1))
        elif circuit.open_until <= now:  # of several calls that fail together one counts
            circuit.failures += 1
            circuit.open_until = now + self._open_seconds(circuit.failures)
            circuit.is_probed = False

    def _forget_old(self, now: float) -> None:
        """Drops the circuits of origins that were not called for long."""
        for origin, circuit in list(self._circuits.items()):
            if circuit.open_until + 2 * LONGEST_OPEN_SECONDS < now:
                del self._circuits[origin]

    def _open_seconds(self, failures: int) -> float:
        return min(LONGEST_OPEN_SECONDS, self._first_open_seconds * 2.0 ** min(failures - 1, 10))
