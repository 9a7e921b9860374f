"""Where a scan of jobs goes on: after an entry, or after one in each of several shards."""

from dataclasses import dataclass

from inferq.errors import InvalidInputError
from inferq.queue.inspection.job_scan import Position


@dataclass(frozen=True, slots=True)
class ShardPositions:
    """Where a scan of several shards goes on.

    Attributes:
        positions: For each shard the entry after which to go on; None where it has to begin.
        ended: Numbers of the shards that have no more entries.
    """

    positions: tuple[Position | None, ...]
    ended: frozenset[int] = frozenset()


type ScanCursor = Position | ShardPositions


def get_position(cursor: ScanCursor | None) -> Position | None:
    """Returns the position in the one shard that there is.

    Raises:
        InvalidInputError: The cursor comes from when there were several.
    """
    if isinstance(cursor, ShardPositions):
        raise make_stale_error()
    return cursor


def make_stale_error() -> InvalidInputError:
    """The error for a cursor that another number of shards has given."""
    return InvalidInputError(
        "cursor comes from when the service had other shards. Leave it out to begin anew."
    )
