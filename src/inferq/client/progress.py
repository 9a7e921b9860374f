"""The progress bar of `map`."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any


@contextmanager
def show_progress(items: Iterable[Any], wanted: bool | None) -> Iterator[Callable[[], None]]:
    """Shows a bar on standard error.

    Args:
        items: What there is to do.
        wanted: Whether to show it; None: if standard error is a terminal.

    Yields:
        A function to call for each item that is done.
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("jobs", total=len(items) if isinstance(items, Sized) else None)
        yield lambda: bar.advance(task)
