"""Worker processes for the tests."""

import asyncio
import os
import signal
import subprocess
import sys

from inferq.jobs import WebhookStatus


class WorkerProcess:
    module = "inferq.worker.main"

    def __init__(self, url, environment=None, python=sys.executable, **settings):
        chosen = {f"INFERQ_{name.upper()}": str(value) for name, value in settings.items()}
        chosen |= {"INFERQ_REDIS_URL": url, "INFERQ_LOG_FORMAT": "console", **(environment or {})}
        chosen.setdefault("INFERQ_JOB_LOG_LEVEL", "off")  # nobody reads the pipe, which would be full at last
        self.process = subprocess.Popen(
            [str(python), "-m", self.module],
            env=os.environ | chosen,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""

    def end(self):
        """Makes sure that nothing is left, whatever the test did."""
        if self.process.poll() is None:
            self.process.kill()
        if not self.process.stderr.closed:
            self.process.communicate()

    def stop(self, number=signal.SIGTERM, timeout=60):
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=timeout)
        self.log += rest
        return self.process.returncode, self.log

    async def until_logged(self, event, timeout=60.0):
        """Reads the log up to the next line with this event; "jobs_started" takes the log level debug."""
        async with asyncio.timeout(timeout):
            while True:
                line = await asyncio.to_thread(self.process.stderr.readline)
                self.log += line
                if event in line:
                    return
                assert line, f"The worker ended before {event}: {self.log}"


async def ended(producer, job_id, timeout=60.0):
    async with asyncio.timeout(timeout):
        while not (job := await producer.read(job_id)).status.is_final:
            await asyncio.sleep(0.02)
    return job


async def reported(producer, timeout=60.0):
    """The workers, once one has told of itself: its first job may end before."""
    async with asyncio.timeout(timeout):
        while not (workers := await producer.read_workers()):
            await asyncio.sleep(0.02)
    return workers


async def settled(producer, job_id, timeout=60.0):
    async with asyncio.timeout(timeout):
        while (webhook := (await producer.read(job_id)).webhook).status is WebhookStatus.PENDING:
            await asyncio.sleep(0.01)
    return webhook
