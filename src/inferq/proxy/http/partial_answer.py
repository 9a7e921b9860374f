"""What answers say that are about all shards, of those that are away."""

from collections.abc import Sequence

from pydantic import BaseModel, Field


class PartialAnswer(BaseModel):
    """An answer in which something may be missing."""

    unavailable_shards: list[int] = Field(
        default=[],
        description="Numbers of the shards that do not answer: what is in these is missing here. Absent "
        "where there are none.",
    )


def add_unavailable(body: dict[str, object], away_shards: Sequence[int]) -> dict[str, object]:
    """Adds to an answer which shards are missing in it, if any are."""
    return {**body, "unavailable_shards": away_shards} if away_shards else body
