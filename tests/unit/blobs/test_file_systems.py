from pathlib import Path

import pytest

from inferq.blobs import file_systems
from inferq.blobs.file_systems import is_on_local_disk

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:50 / /mnt/shared rw - nfs4 host:/export rw
41 40 0:51 / /mnt/shared/fast\040disk rw - xfs /dev/vdb rw
42 27 0:52 / /data rw shared:1 - fuse.sshfs host: rw
""".strip()


@pytest.mark.parametrize(
    ("folder", "is_local"),
    [
        ("/srv/blobs", True),
        ("/mnt/shared/blobs", False),
        ("/mnt/shared/fast disk/blobs", True),
        ("/mnt/sharedelsewhere", True),
        ("/data", False),
    ],
)
def test_kind_of_the_innermost_mount_decides(folder, is_local, tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    monkeypatch.setattr(file_systems, "_MOUNTS", mounts)
    assert is_on_local_disk(Path(folder)) is is_local


def test_where_the_system_does_not_tell_nothing_is_taken_for_local(tmp_path, monkeypatch):
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "missing")
    assert not is_on_local_disk(tmp_path)
