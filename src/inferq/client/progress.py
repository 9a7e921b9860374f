"""How `map` goes about many jobs, and shows how far it is."""

from collections.abc import Callable
from contextlib import ExitStack

IN_FLIGHT = 4
"""How many groups of jobs are under way."""


def progress_bar(stack: ExitStack, total: int | None) -> Callable[[], None]:
    """Shows a bar on standard error until the stack is closed; returns what to call for each ended job."""
    from rich.console import Console
    from rich.progress import Progress

    bar = stack.enter_context(Progress(console=Console(stderr=True)))
    task = bar.add_task("jobs", total=total)
    return lambda: bar.advance(task)
