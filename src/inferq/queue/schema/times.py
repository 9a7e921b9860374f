"""Times, as Redis and the scripts take them."""

from math import ceil

from inferq.settings import Settings

COMPARISONS_SECONDS = 30 * 24 * 3600.0
"""How long what shadow jobs have found is kept after the last comparison."""


def to_milliseconds(seconds: float) -> int:
    """Makes whole milliseconds of a time: 0 of 0 only, as Redis refuses a lifetime of 0."""
    return round(seconds * 1000) or ceil(seconds)


def get_open_job_ttl_ms(settings: Settings) -> int:
    """How long the keys of a job that has not ended are kept: until it has failed as expired and was read."""
    return to_milliseconds(settings.job_ttl_seconds + settings.result_ttl_seconds)
