"""How long to wait before a further try."""

from random import uniform


def full_jitter(attempt: int, base_seconds: float, cap_seconds: float, factor: float = 2.0) -> float:
    """Exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        attempt: The attempt that failed, 1 for the first.
        base_seconds: Longest pause after the first.
        cap_seconds: Longest pause of all.
        factor: How many times longer the next one may be.

    Returns:
        Seconds, between 0 and `base_seconds` times `factor` with each further attempt, at most `cap_seconds`.
    """
    return uniform(0.0, min(cap_seconds, base_seconds * factor ** min(attempt - 1, 16)))  # noqa: S311
