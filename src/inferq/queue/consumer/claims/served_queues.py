"""Which queues a worker serves at this moment."""

from collections.abc import Mapping


class ServedQueues:
    """What claims, recovery and the scan for orphans look at; replaced as a whole, by any thread.

    Args:
        versions: Name of each queue to what its jobs run with, as the text of a `Provenance`.

    Attributes:
        versions: See above.
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        self.versions = versions
