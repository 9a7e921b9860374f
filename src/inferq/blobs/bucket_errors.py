"""What a bucket's faults mean, in errors of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from inferq.errors import (
    BlobNotFoundError,
    QueueFullError,
    StoreDeniedError,
    StoreMissingError,
    StoreSlowError,
    StoreUnavailableError,
)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_SYSTEM = re.compile(r'(?:message|error): "([^"]{1,300})"')
_IS_SLOW = re.compile(r"kind: Timeout|\bTimedOut\b")
_DENIED_STATUS = {"401", "403"}
_DENIED = {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
_FULL_STATUS = {"507"}
_FULL = {"BucketQuotaExceeded", "InsufficientCapacity", "QuotaExceeded", "StorageFull", "XMinioStorageFull"}
_SLOW = {"RequestTimeout", "SlowDown", "TooManyRequests"}
_CREDENTIALS_HOST = "//169.254.169.254"
"""Where machines in a cloud have their credentials: asked where the environment has none."""


@contextmanager
def bucket_errors(called: str, key: str = "") -> Iterator[None]:
    """Makes errors of a bucket ours.

    Args:
        called: What to call the bucket.
        key: The object that is to be there, where there is one.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise _translate(called, key, str(error), is_absent=isinstance(error, FileNotFoundError)) from None


def _translate(called: str, key: str, text: str, *, is_absent: bool) -> Exception:
    """Returns our error for what obstore says: a line for people, XML of the store, then its own innards."""
    code = next(("".join(found) for found in _CODE.findall(text)), "")
    status = next(iter(_STATUS.findall(text)), "")
    reason = _find_reason(text, code)
    if _CREDENTIALS_HOST in text:
        return StoreDeniedError(
            f"{called} needs credentials, and this process has none. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or let it run with a role that may use the bucket."
        )
    if code == "NoSuchBucket":
        return StoreMissingError(
            f"{called} is in a bucket that does not exist at the endpoint. Make it, or correct the name or "
            "AWS_ENDPOINT_URL."
        )
    if code in _FULL or status in _FULL_STATUS:
        return QueueFullError(f"{called} takes no more: {reason}. Try again later, or give it more room.")
    if code in _DENIED or status in _DENIED_STATUS:
        return StoreDeniedError(
            f"{called} refuses this process: {reason}. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
            "the clock of this machine, and that they may read, write, list and delete there."
        )
    if key and (is_absent or code == "InvalidRange"):
        return BlobNotFoundError(f"{called} has no object {key!r} (any more), or not all of it.")
    if code in _SLOW or _IS_SLOW.search(text):
        return StoreSlowError(f"{called} does not answer in time: {reason}.")
    return StoreUnavailableError(
        f"{called} cannot be used: {reason}. Check that it runs, and that AWS_ENDPOINT_URL leads to it."
    )


def _find_reason(text: str, code: str) -> str:
    """Returns the shortest text that says what went wrong, without a query or a header."""
    message = next(iter(_MESSAGE.findall(text)), "").rstrip(".")
    if code:
        return f"{code}, {message}" if message else code
    if found := _SYSTEM.search(text):
        return found[1]
    if _IS_SLOW.search(text):
        return "a request took too long"
    return text.partition("\n")[0].rpartition(" - ")[2][:300].rstrip(": .")
