"""The histograms that Redis keeps of each model: which there are, and the bounds of their buckets.

`queue:{model}:histograms` is a string of signed numbers of 64 bits, which BITFIELD counts up: one command
writes all that a script observes. Each histogram has a slot for each bucket, one for what is greater than all
bounds, and one for the sum of all values. Slots never move: a histogram with other bounds is a new one,
behind the others. The scripts have slots and bounds from an include that this module writes:

    uv run python -m inferq.queue.schema.histograms
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from inferq.queue.schema.record import LUA_INCLUDES


class _Layout(NamedTuple):
    """The bounds of a histogram in Redis, and how many of their unit, and of the sum's, are 1 s or 1 job."""

    bounds: tuple[int, ...]
    unit: int
    sum_unit: int

    @property
    def slots(self) -> int:
        return len(self.bounds) + 2


_MS_BOUNDS = (
    *(1, 2, 5, 10, 25, 50, 100, 250, 500),
    *(1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000),
)
_JOBS_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128)
_LAYOUTS = {
    "wait": _Layout(_MS_BOUNDS, 1_000, 1_000),  # from a job's submission to its first start
    "run": _Layout(_MS_BOUNDS, 1_000, 1_000_000),  # of one run, which jobs may share
    "total": _Layout(_MS_BOUNDS, 1_000, 1_000),  # from a job's submission to its end
    "batch": _Layout(_JOBS_BOUNDS, 1, 1),  # jobs that shared a run
}


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often which values have been observed.

    Attributes:
        bounds: Upper bounds of the buckets, which belong to them, ascending; in seconds or jobs.
        counts: How many values fell into each bucket, in that order, not cumulative: one more than there are
            bounds, as the last bucket has none.
        total: Sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


def decode_histograms(stored: bytes | None) -> dict[str, Histogram]:
    """Makes the histograms `wait`, `run`, `total` and `batch` of what Redis holds; of nothing, empty ones."""
    count = sum(layout.slots for layout in _LAYOUTS.values())
    slots = struct.unpack(f">{count}q", (stored or b"").ljust(8 * count, b"\0")[: 8 * count])
    histograms, first = {}, 0
    for name, layout in _LAYOUTS.items():
        *counts, total = slots[first : first + layout.slots]
        bounds = tuple(bound / layout.unit for bound in layout.bounds)
        histograms[name] = Histogram(bounds, tuple(counts), total / layout.sum_unit)
        first += layout.slots
    return histograms


def lua_include() -> str:
    """What the scripts know of the histograms: the text of the include `histogram_layout`."""
    ms, jobs = (", ".join(map(str, bounds)) for bounds in (_MS_BOUNDS, _JOBS_BOUNDS))
    names, slots, first = [], [], 0
    for name, layout in _LAYOUTS.items():
        names.append(f"{name.upper()}_SLOT")
        slots.append(str(first))
        first += layout.slots
    return f"""\
-- Written by `schema/histograms.py`, which says what each histogram is.

-- The upper bounds of the buckets, of times in ms; and the first slot of each histogram.
local MS_BOUNDS = {{{ms}}}
local JOBS_BOUNDS = {{{jobs}}}
local {", ".join(names)} = {", ".join(slots)}
"""


if __name__ == "__main__":
    (LUA_INCLUDES / "histogram_layout.lua").write_text(lua_include(), encoding="utf-8")
