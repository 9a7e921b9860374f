"""The figures as bars: an SVG that reads in light and dark mode, and is not wider than a README."""

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

from benchmarks.figures import Figure
from benchmarks.report import number
from benchmarks.targets import SUBJECT

_WIDTH = 760
_NAMES = 320
_VALUES = 120
_BARS = _WIDTH - _NAMES - _VALUES
_ROW = 22
_HEADING = 34
_SHORTEST = 2
_LOWER_IS_BETTER = {"µs", "ms", "s", "bytes", "kB", "MB"}
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.heading { font-weight: 600 }
.note { fill: #57606a }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #8d96a0 }
  .bar { fill: #6e7681 }
  .ours { fill: #4493f8 }
  .grid { stroke: #30363d }
}
"""


def picture(figures: Sequence[Figure]) -> str:
    """Draws every measure that has more than one subject, each on a logarithmic scale of its own.

    Args:
        figures: What was measured; those of one measure follow each other.

    Returns:
        The text of an SVG file.
    """
    groups = [
        (measure, list(group)) for measure, group in groupby(figures, key=lambda figure: figure.measure)
    ]
    parts: list[str] = []
    top = 8
    for measure, group in groups:
        positive = [figure for figure in group if figure.value > 0]
        if len(positive) > 1:
            parts += _group(measure, positive, top)
            top += _HEADING + _ROW * len(positive) + 12
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
            f'viewBox="0 0 {_WIDTH} {top}" role="img" aria-label="Benchmark results">',
            f"<style>{_STYLE}</style>",
            *parts,
            "</svg>\n",
        )
    )


def _group(measure: str, figures: list[Figure], top: int) -> list[str]:
    unit = figures[0].unit
    better = "less" if unit in _LOWER_IS_BETTER else "more"
    lowest, highest = scale([figure.value for figure in figures])
    bottom = top + _HEADING + _ROW * len(figures)
    note = f"{unit}, {better} is better, logarithmic"
    parts = [
        f'<text x="0" y="{top + 18}"><tspan class="heading">{escape(measure)}</tspan>'
        f'<tspan class="note" dx="8">{escape(note)}</tspan></text>'
    ]
    for power in range(lowest, highest + 1):
        x = _NAMES + _BARS * (power - lowest) / (highest - lowest)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 26}" y2="{bottom}"/>')
    for index, figure in enumerate(figures):
        y = top + _HEADING + _ROW * index
        length = max(_SHORTEST, _BARS * (math.log10(figure.value) - lowest) / (highest - lowest))
        kind = "ours" if figure.subject.startswith(SUBJECT) else "bar"
        parts += [
            f'<text x="{_NAMES - 8}" y="{y + 12}" text-anchor="end">{escape(figure.subject)}</text>',
            f'<rect class="{kind}" x="{_NAMES}" y="{y}" width="{length:.1f}" height="15" rx="2"/>',
            f'<text x="{_NAMES + length + 6:.1f}" y="{y + 12}">{number(figure.value)}</text>',
        ]
    return parts


def scale(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten between which bars are drawn: the smallest value has a bar, the largest fits.

    Args:
        values: All positive.

    Returns:
        Exponents of the left and the right edge.
    """
    lowest = math.floor(math.log10(min(values)) - 0.1)
    return lowest, max(lowest + 1, math.ceil(math.log10(max(values))))
