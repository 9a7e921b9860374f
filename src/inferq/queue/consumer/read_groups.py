"""Values that one command may ask for together."""

from collections.abc import Iterator, Mapping

_MOST_BYTES = 4 * 1024 * 1024
"""Of all values in a group, unless a single one has more: meanwhile Redis serves nobody else."""


def group_by_size[T](sizes: Mapping[T, int]) -> Iterator[list[T]]:
    """Yields the keys in groups whose values are not too large together, in order.

    Args:
        sizes: How many bytes the value of each key has.
    """
    group, total = list[T](), 0
    for key, size in sizes.items():
        if group and total + size > _MOST_BYTES:
            yield group
            group, total = [], 0
        group.append(key)
        total += size
    if group:
        yield group
