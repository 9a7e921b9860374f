"""A clock for each host, which can be set while its program runs. See clock.c."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


class HostClock:
    """The time of day of one host.

    Args:
        folder: Where the library is built, and the offset is kept.
        name: The host's.

    Attributes:
        environment: What a program of the host needs in its environment.
    """

    def __init__(self, folder: Path, name: str) -> None:
        library = folder / "clock.so"
        if not library.exists():
            compiler = shutil.which("cc") or pytest.skip("there is no C compiler (cc)")
            subprocess.run(
                [compiler, "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE], check=True
            )
        self._offset = folder / f"{name}.clock"
        self._offset.write_bytes(struct.pack("l", 0))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._offset)}

    def set_ahead(self, seconds: int) -> None:
        """Sets the clock so many seconds ahead of the right time; less than 0: behind it."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))
