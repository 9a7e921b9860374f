"""Where a page of jobs ends, as an opaque text that the next request brings back."""

import base64
import binascii
import json
import math

from inferq.jobs import InvalidInputError


def encode_cursor(ended_ms: float, job_id: str) -> str:
    """Makes a cursor of a page's last entry.

    Args:
        ended_ms: When the job ended, ms since 1970.
        job_id: Its id.
    """
    return base64.urlsafe_b64encode(json.dumps([ended_ms, job_id]).encode()).decode()


def decode_cursor(cursor: str) -> tuple[float, str]:
    """Reads a cursor.

    Raises:
        InvalidInputError: `encode_cursor` has not made it.
    """
    try:
        ended_ms, job_id = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise _invalid(cursor) from error
    if not isinstance(ended_ms, float) or not math.isfinite(ended_ms) or not isinstance(job_id, str):
        raise _invalid(cursor)
    return ended_ms, job_id


def _invalid(cursor: str) -> InvalidInputError:
    return InvalidInputError(
        f"cursor must be the member 'next' of an earlier page, got {cursor[:80]!r}. "
        "Leave it out for the first page."
    )
