"""Writes and reads payloads in a folder and in a bucket in turn, and prints how long each takes.

Run: uv run python -m benchmarks.blob_stores [--rounds 30]

The bucket is one of a SeaweedFS on this machine, which is started for it: there is no network in the
figures, and the server takes processor time of the same machine. Needs the group dev.
"""

import argparse
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

from benchmarks.processes import wait_until
from inferq.blobs import BlobPart, BlobStore, make_key, open_store
from inferq.errors import StoreUnavailableError
from inferq.local.object_server import (
    BUCKET,
    find_ports,
    make_environment,
    make_object_server_command,
    use_object_store,
)

_SIZES = {"600 KB": 600_000, "16 MB": 16_000_000}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blob_stores", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often each is written and read (30)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as name, ExitStack() as stack:
        stores = {
            "folder": _open((Path(name) / "blobs").as_uri()),
            "bucket": _start_bucket(stack, Path(name)),
        }
        print("| payload | store | write, ms | read, ms | processor time of this process for both, ms |")
        print("| --- | --- | --- | --- | --- |")
        for title, size in _SIZES.items():
            taken: dict[str, list[tuple[float, float, float]]] = {called: [] for called in stores}
            for _ in range(rounds):
                for called, store in stores.items():
                    taken[called].append(_measure(store, os.urandom(size)))
            for called, figures in taken.items():
                cells = " | ".join(f"{1000 * median(column):.2f}" for column in zip(*figures, strict=True))
                print(f"| {title} | {called} | {cells} |")
    print(f"medians of {rounds} rounds in turn, load {os.getloadavg()[0]:.0f}")


def _measure(store: BlobStore, data: bytes) -> tuple[float, float, float]:
    """Returns seconds to write and to read, and seconds of processor time."""
    key, began, used = make_key("benchmark", BlobPart.DATA), time.perf_counter(), time.process_time()
    store.write(key, data)
    written = time.perf_counter()
    found = store.read(key, len(data))
    sum(found[::4096])  # a page that is mapped is read when it is touched
    seconds = written - began, time.perf_counter() - written, time.process_time() - used
    store.delete([key])
    return seconds


def _start_bucket(stack: ExitStack, folder: Path) -> BlobStore:
    ports = find_ports()
    use_object_store(f"http://127.0.0.1:{ports[0]}")
    command = make_object_server_command(folder, ports)
    with (folder / "seaweedfs.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=make_environment())
    stack.callback(server.wait)
    stack.callback(server.kill)
    store = _open(f"s3://{BUCKET}/blobs")
    wait_until(lambda: _is_there(store), "SeaweedFS takes objects", alive=server)
    return store


def _open(url: str) -> BlobStore:
    store = open_store(url)
    assert store is not None
    return store


def _is_there(store: BlobStore) -> bool:
    with suppress(StoreUnavailableError):
        return bool(store.identify())
    return False


if __name__ == "__main__":
    main()
