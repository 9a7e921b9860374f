"""What a recovery pass, a claim and a submit cost, with 1,000, 100,000 and 1,000,000 jobs queued.

Run: uv run python -m benchmarks.recovery
"""

from benchmarks.measures.depth import measure


def main() -> None:
    """Prints a line for each figure: the median of many calls."""
    for figure in measure(quick=False):
        verdict = {None: "", True: "  met", False: "  missed"}[figure.met]
        print(
            f"{figure.measure:<30} {figure.subject:>18} {figure.value:>10,.0f} {figure.unit}"
            f"  ({figure.low:,.0f} to {figure.high:,.0f})  {figure.target}{verdict}"
        )


if __name__ == "__main__":
    main()
