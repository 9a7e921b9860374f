"""Starting inferq's programs as a user does, and looking at what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}


class Program:
    """A program of ours with its output, in a process group of its own."""

    def __init__(self, *command, python=sys.executable, cwd=ROOT, **settings):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("INFERQ_")}
        environment |= {f"INFERQ_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [python, "-m", *(str(part) for part in command)],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        with self.process.stdout as stream:
            self.lines.extend(line.rstrip() for line in stream)

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait(self, timeout=60.0):
        """Waits for the end and returns the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def stop(self, number=signal.SIGTERM, timeout=60.0):
        self.process.send_signal(number)
        return self.wait(timeout)

    def end(self):
        """Makes sure that nothing is left, whatever the test did."""
        descendants = descendants_of(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for pid in descendants:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def descendants_of(pid):
    """Process ids below a process, from /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def call(method, url, body=None):
    """One request; returns the status and the parsed body, or (0, None) if nothing listens."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, method=method), timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    except (URLError, ConnectionError, TimeoutError):
        return 0, None


def is_healthy(url):
    return (call("GET", f"{url}/health")[1] or {}).get("status") == "healthy"


def wait_until_healthy(url, timeout=60.0):
    wait_until(lambda: is_healthy(url), timeout, f"{url} being healthy")


def submit(url):
    status, answer = call("POST", f"{url}/predict", DATA)
    assert status == 202, answer
    return answer["job_id"]


def wait_for_job(url, job_id, timeout=60.0):
    def ended():
        view = call("GET", f"{url}/job/{job_id}")[1] or {}
        return view if view.get("status") in ("completed", "failed") else None

    return wait_until(ended, timeout, f"the end of job {job_id}")
