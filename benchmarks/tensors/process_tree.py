"""What a process and all that it has started cost: processor time, and the most memory that they held."""

import os
import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
_PROC = Path("/proc")


def list_tree(roots: Iterable[int]) -> dict[int, int]:
    """The processes below others, themselves included: when each has started (ticks after boot), by id."""
    parents, started = {}, {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            fields = _read_stat(int(folder.name))
            if fields is not None:
                parents[int(folder.name)], started[int(folder.name)] = int(fields[1]), int(fields[19])
    found: set[int] = set()
    level = {root for root in roots if root in parents}
    while level:
        found |= level
        level = {process for process, parent in parents.items() if parent in level} - found
    return {process: started[process] for process in found}


def measure_seconds(roots: Iterable[int]) -> float:
    """Processor seconds of all living processes of a tree, and of their children that have ended."""
    stats = [_read_stat(process) for process in list_tree(roots)]
    return sum(int(ticks) for fields in stats if fields is not None for ticks in fields[11:15]) / _TICKS


def measure_peak_bytes(roots: Iterable[int]) -> int:
    """The sum of each process's largest resident memory; what they share counts for each."""
    peak = 0
    for process in list_tree(roots):
        with suppress(OSError):
            found = _PEAK.search((_PROC / str(process) / "status").read_text(encoding="utf-8"))
            peak += int(found[1]) * 1024 if found else 0
    return peak


def end_rest(tree: dict[int, int]) -> None:
    """Ends what is left of a tree, such as processes that have left their group."""
    for process, started in tree.items():
        fields = _read_stat(process)
        if fields is not None and int(fields[19]) == started:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _read_stat(process: int) -> list[str] | None:
    """Fields of a process's `stat` from its state on; None where it has ended."""
    try:
        text = (_PROC / str(process) / "stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
