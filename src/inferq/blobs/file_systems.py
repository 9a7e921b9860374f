"""Which kind of file system a folder is on."""

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\(\d{3})")
"""How a space is written there."""
_LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
"""A file of theirs that is removed stays there for every process that has it open."""


def is_on_local_disk(folder: Path) -> bool:
    """Whether a folder is on a file system of this machine; False where that cannot be told."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    folder, found, kind = folder.resolve(), -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_OCTAL.sub(lambda digits: chr(int(digits[1], 8)), before.split(" ")[4]))
        if folder.is_relative_to(point) and len(point.parts) >= found:
            found, kind = len(point.parts), after.split(" ")[0]
    return kind in _LOCAL
