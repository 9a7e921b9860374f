"""Shadow comparison, as the thread that runs jobs takes part in it."""

from typing import NamedTuple

from inferq.worker.shadows.shadow_comparer import ShadowComparer
from inferq.worker.shadows.shadow_sampler import ShadowSampler


class Shadows(NamedTuple):
    """Both sides of it.

    Attributes:
        sampler: Draws the jobs that are to run on another version too.
        comparer: Compares what that has given.
    """

    sampler: ShadowSampler
    comparer: ShadowComparer
