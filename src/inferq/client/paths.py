"""Paths of the HTTP interface that contain an id or a name."""

from urllib.parse import quote

from inferq.errors import JobNotFoundError, UnknownModelError


def make_job_path(job_id: str, action: str = "") -> str:
    """Makes the path of a job, or of something that can be done with it.

    Raises:
        JobNotFoundError: This id cannot be part of a path: the path would mean another job.
    """
    if any(part in ("", ".", "..") for part in job_id.split("/")) or not _is_unicode(job_id):
        raise JobNotFoundError(f"There is no job {job_id!r}: no job's id is like that.")
    return f"/job/{quote(job_id)}{action}"


def make_model_path(name: str, part: str = "") -> str:
    """Makes the path of a model, or of something about it.

    Raises:
        UnknownModelError: This name cannot be part of a path.
    """
    if not _is_unicode(name):
        raise UnknownModelError(f"There is no model {name!r}: no model's name is like that.")
    return f"/models/{quote(name, safe='')}{part}"


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8. Python reads other bytes of a terminal as lone surrogates."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def make_queue_path(target_wait_seconds: float | None) -> str:
    """Returns the path of the queues' numbers, with the number of workers that a wished wait takes."""
    return "/queue" if target_wait_seconds is None else f"/queue?target_wait_seconds={target_wait_seconds}"
