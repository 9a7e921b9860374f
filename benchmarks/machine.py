"""Where the figures come from: processor, memory, versions, and whether other processes were in the way."""

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from benchmarks.processes import server_binary

_PACKAGES = (
    *("inferq", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "redis", "hiredis"),
    *("onnxruntime", "numpy"),
)
_RIVALS = ("celery", "saq", "dramatiq", "huey")
_TICKS = os.sysconf("SC_CLK_TCK")
_MOST_OTHERS = 0.05
_MOST_STOLEN = 0.01
_IDLE, _IOWAIT, _STEAL = 3, 4, 7


@dataclass(frozen=True)
class Machine:
    """What a figure depends on, in words.

    Attributes:
        processor: Model and number of usable processors.
        memory: Total memory.
        system: Kernel and its version.
        versions: Name and version of everything that takes part.
        date: When, UTC.
    """

    processor: str
    memory: str
    system: str
    versions: tuple[str, ...]
    date: str

    @classmethod
    def this(cls, others: Sequence[str] | None = None) -> Self:
        """The machine that this runs on, now.

        Args:
            others: Name and version of each that takes part besides; None for the rivals of this package.
        """
        model = re.search(r"model name\s*:\s*(.+)", _text("/proc/cpuinfo"))
        total = re.search(r"MemTotal:\s+(\d+) kB", _text("/proc/meminfo"))
        return cls(
            f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} processors",
            f"{int(total[1]) * 1024 / 1e9:.1f} GB" if total else "unknown",
            f"{platform.system()} {platform.release()}",
            (*_versions(), *(_find_versions(_RIVALS) if others is None else others)),
            datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _versions() -> list[str]:
    found = [f"Python {platform.python_version()}", _first_line([server_binary(), "--version"])]
    if shutil.which("wrk"):
        found.append(_first_line(["wrk", "-v"]))
    return found + _find_versions(_PACKAGES)


def _find_versions(packages: Sequence[str]) -> list[str]:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return found


def _first_line(command: list[str]) -> str:
    """What a program says of its version: the first words, without build details."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # wrk -v exits with 1
    line = (done.stdout or done.stderr).splitlines()[0]
    found = re.match(r"(?:(Redis|Valkey) server v=([\d.]+)|(wrk) (?:debian/)?([\w.]+))", line)
    return " ".join(part for part in found.groups() if part) if found else line[:40]


class Watchdog:
    """Watches from its creation on how much of the machine others take."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _ticks()
        self._own_before = _own_seconds()
        self._load = os.getloadavg()[0]

    def note(self) -> str:
        """Says in a sentence whether other processes were in the way so far.

        Processor time that is neither idle nor of this process and those that it has started and ended counts
        as taken by others; processes that still run count as others', so ask between measures.
        """
        gone = [after - before for before, after in zip(self._before, _ticks(), strict=True)]
        total = sum(gone[: _STEAL + 1]) / _TICKS
        if total <= 0:
            return "Whether other processes were in the way is not known here."
        busy = total - (gone[_IDLE] + gone[_IOWAIT] + gone[_STEAL]) / _TICKS
        return describe_others(
            (busy - (_own_seconds() - self._own_before)) / total, gone[_STEAL] / _TICKS / total, self._load
        )


def describe_others(others: float, stolen: float, load: float) -> str:
    """The sentence of `Watchdog.note`.

    Args:
        others: Share of all processor time that other processes took.
        stolen: Share that the host of a virtual machine took.
        load: Load average before the start.
    """
    facts = f"other processes took {max(0.0, others):.0%} of the processors, the host {stolen:.0%}"
    facts += f"; load before the start {load:.1f}"
    if others > _MOST_OTHERS or stolen > _MOST_STOLEN:
        return f"**Disturbed run**: {facts}."
    return f"Undisturbed: {facts}."


def _ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal."""
    fields = _text("/proc/stat").partition("\n")[0].split()[1:9]
    return [int(field) for field in fields] if len(fields) == _STEAL + 1 else [0] * (_STEAL + 1)


def _own_seconds() -> float:
    """Processor time of this process and of all that it has waited for, and those that they have."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)
