"""How much one job may have fetched."""

from inferq.errors import InputTooLargeError


class FetchBudget:
    """Counts the bytes of all files of one job.

    Args:
        most_bytes: How many there may be.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._left = most_bytes

    @property
    def left(self) -> int:
        """How many bytes may still come."""
        return self._left

    def expect(self, size: int) -> None:
        """Refuses a file that is said to have so many bytes, if they are too many.

        Raises:
            InputTooLargeError: They are.
        """
        if size > self._left:
            raise InputTooLargeError(
                f"the files that the job names have more than {self._most_bytes} bytes "
                "(INFERQ_MAX_INPUT_BYTES)."
            )

    def take(self, size: int) -> None:
        """Counts so many bytes that have come.

        Raises:
            InputTooLargeError: They are too many.
        """
        self.expect(size)
        self._left -= size
