"""Ids of jobs and workers, in Redis and in Python.

Our own are ASCII. Any program may write to Redis, so an id from outside may be any bytes. Python has it as
text in which each byte that is no UTF-8 is a surrogate escape, so that two ids are never taken for the same.
"""


def decode_id(stored: bytes) -> str:
    """Makes an id of what Redis holds. Nothing is lost: `encode_id` gives the same bytes again."""
    return stored.decode("utf-8", "surrogateescape")


def encode_id(text: str) -> bytes:
    """Makes bytes for Redis of an id, or of a name of a key with an id in it."""
    return text.encode("utf-8", "surrogateescape")


def show_id(text: str) -> str:
    """Makes an id fit for JSON and people: what is no UTF-8 in it becomes U+FFFD."""
    return text if text.isascii() else encode_id(text).decode("utf-8", "replace")
