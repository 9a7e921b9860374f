"""References in the keys of jobs: what stands for a payload that lies in the blob store."""

from inferq.blobs import BlobPart, find_owner
from inferq.errors import InvalidInputError
from inferq.tensors.envelope import BlobReference, is_reference, read_reference


def find_reference(stored: bytes, job_id: str, part: BlobPart) -> BlobReference | None:
    """Reads the reference in a key of a job; None where there is none.

    Args:
        stored: What stands in the key, or how it begins.
        job_id: The job's id.
        part: Which part of the job it is. What names a blob of another job counts as damaged.

    Raises:
        InvalidInputError: It is damaged.
    """
    if not is_reference(stored):
        return None
    reference = read_reference(stored)
    if find_owner(reference.key) != (job_id, part):
        raise InvalidInputError(
            f"The {part} of job {job_id!r} refers to {reference.key!r}, which is not its own."
        )
    return reference


def follow_reference(stored: bytes, job_id: str, part: BlobPart) -> BlobReference | None:
    """Reads the reference as `find_reference` does; None where it is damaged, too."""
    try:
        return find_reference(stored, job_id, part)
    except InvalidInputError:
        return None
