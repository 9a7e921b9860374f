"""The measures: each module has `measure(quick: bool) -> list[Figure]`, and is run by `benchmarks`."""
