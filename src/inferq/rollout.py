"""A rollout: which version of a model serves, and which share of the jobs runs on others."""

import hashlib
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from inferq.model_names import MODEL_NAME_PATTERN

_ROUNDING = 1e-9


def _check_sum(shares: dict[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    if total > 1 + _ROUNDING:
        raise PydanticCustomError("shares", f"the shares are {total:g} together, at most 1, all jobs, can be")
    return shares


Version = Annotated[str, Field(pattern=MODEL_NAME_PATTERN)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Shares = Annotated[dict[Version, Share], AfterValidator(_check_sum)]
"""Version to share: a job is for one of them at most."""


class Rollout(BaseModel):
    """What an operator says of the versions of one model, in `model.toml` or by a command.

    Attributes:
        serve: The version of jobs that name none; None: the newest that is there.
        shares: Version to the share of these jobs that runs on it instead.
        shadow: Version to the share of these jobs that runs on it too, later, to be compared.
        tolerance: How much values of a shadow's outputs may differ and still agree: relative to the larger of
            the two, absolute below 1.
        previous: The version that served before, to which a rollback returns; None where there was none.
        is_unloaded: Whether the model is not to be served at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    serve: Version | None = None
    shares: Shares = {}
    shadow: Shares = {}
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    previous: Version | None = None
    is_unloaded: bool = False

    def choose_version(self, job_id: str) -> str | None:
        """Returns the version that a job runs on by `shares`; None for the one that serves.

        The same for each attempt of a job, on every worker.
        """
        return _draw(self.shares, f"share {job_id}")

    def choose_shadow(self, job_id: str) -> str | None:
        """Returns the version that a job is to run on too; None for none."""
        return _draw(self.shadow, f"shadow {job_id}")


def _draw(shares: dict[str, float], text: str) -> str | None:
    if not shares:
        return None
    point = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
    for version, share in sorted(shares.items()):
        if point < share:
            return version
        point -= share
    return None
