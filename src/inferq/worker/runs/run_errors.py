"""Errors of jobs whose runs take too long or give too much."""

from inferq.errors import ResultTooLargeError, TimedOutError


def make_timeout_error(timeout_seconds: float) -> TimedOutError:
    """Returns the error of a job that took longer than that."""
    return TimedOutError(f"The job timed out after {timeout_seconds:g} s.")


def make_size_error(size: int, most: int) -> ResultTooLargeError:
    """Returns the error of a job whose result is too long.

    Args:
        size: Its length, in bytes.
        most: How many bytes are stored.
    """
    return ResultTooLargeError(
        f"The result has {size:,} bytes; at most {most:,} are stored (INFERQ_MAX_RESULT_BYTES). Ask for less "
        "in one job."
    )
