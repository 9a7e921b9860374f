import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from inferq.local.supervisor import Child, ChildFailedError, Supervisor
from inferq.processes import PARENT_VARIABLE
from tests.e2e.processes import is_running
from tests.servers import wait_until

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


def child(name, code, **options):
    return Child(name, [sys.executable, "-c", code], dict(os.environ), **options)


class Echo:
    """Collects what is echoed; `until` waits for a line."""

    def __init__(self):
        self.lines = []
        self.news = asyncio.Event()

    def __call__(self, name, line):
        self.lines.append((name, line))
        self.news.set()

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition(self.lines):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def supervising(*children, is_ready=True, stop_seconds=1.5):
    echo = Echo()
    supervisor = Supervisor(echo)
    supervisor.is_ready = is_ready
    for one in children:
        supervisor.start(one)
    try:
        yield supervisor, echo
    finally:
        await supervisor.stop(stop_seconds)


async def test_line_of_any_length_is_passed_on_and_the_child_stays_in_care():
    talker = child("talker", f"print('x' * 300_000, flush=True); print('after', flush=True); {SLEEPS}")
    async with supervising(talker) as (_, echo):
        await echo.until(lambda lines: ("talker", "up") in lines)
        text = [line for _, line in echo.lines]
        assert "after" in text
        assert sum(line.count("x") for line in text) == 300_000
        talker.process.kill()
        await echo.until(lambda lines: lines.count(("talker", "up")) == 2)


async def test_child_that_dies_is_started_again_with_longer_and_longer_pauses():
    async with supervising(child("weak", "raise SystemExit(3)")) as (_, echo):
        await echo.until(lambda lines: len(lines) == 3)
    assert [line for _, line in echo.lines[:3]] == [
        f"weak ended (exit code 3); it starts again in {pause} s" for pause in ("0.1", "0.2", "0.4")
    ]


async def test_child_that_gives_up_before_all_are_ready_says_why_in_its_own_words():
    code = "import sys; print('loading', flush=True); sys.exit('inferq worker: no model.')"
    async with supervising(child("worker-1", code), is_ready=False) as (supervisor, echo):
        with pytest.raises(ChildFailedError, match=r"worker-1 did not start: inferq worker: no model\."):
            await asyncio.wait_for(supervisor.failure, 60)
    assert echo.lines == [("worker-1", "loading")]


async def test_program_that_is_not_there_is_a_failure_before_all_are_ready():
    async with supervising(Child("gone", ["/no/such/program"], {}), is_ready=False) as (supervisor, _):
        with pytest.raises(ChildFailedError, match="/no/such/program cannot be started: No such file"):
            await asyncio.wait_for(supervisor.failure, 60)


async def test_program_that_is_replaced_while_it_should_start_again_is_tried_until_it_is_there(tmp_path):
    program = tmp_path / "program"
    async with supervising(Child("new", [str(program)], dict(os.environ))) as (_, echo):
        await echo.until(lambda lines: any("exit code 126" in line for _, line in lines))
        assert echo.lines[0] == ("new", f"{program} cannot be started: No such file or directory.")
        draft = tmp_path / "draft"
        draft.write_text(f"#!{sys.executable}\n{SLEEPS}\n")
        draft.chmod(0o755)
        draft.rename(program)
        await echo.until(lambda lines: ("new", "up") in lines)


async def test_stop_does_not_wait_for_the_pause_before_a_restart(monkeypatch):
    monkeypatch.setattr("inferq.local.supervisor.FIRST_PAUSE_SECONDS", 60.0)
    async with asyncio.timeout(60), supervising(child("weak", "raise SystemExit(3)")) as (_, echo):
        await echo.until(lambda lines: any("starts again in 60 s" in line for _, line in lines))


async def test_child_that_is_killed_before_all_are_ready_has_two_more_chances():
    code = "import os, signal; print('started', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    async with supervising(child("weak", code), is_ready=False) as (supervisor, echo):
        with pytest.raises(ChildFailedError, match="signal 9"):
            await asyncio.wait_for(supervisor.failure, 60)
    assert echo.lines.count(("weak", "started")) == 3


async def test_child_that_does_not_stop_is_killed_at_the_deadline():
    deaf = child("deaf", STUBBORN)
    async with supervising(child("first", SLEEPS), deaf) as (_, echo):
        await echo.until(lambda lines: len(lines) == 2)
    assert deaf.process.returncode == -signal.SIGKILL


async def test_server_is_told_to_stop_when_the_others_have_ended():
    telling = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit({0!r}))\n"
    telling += "print('up', flush=True)\ntime.sleep(60)"
    children = [
        child("server", telling.format("server ends"), is_server=True),
        child("worker", telling.format("worker ends")),
    ]
    async with supervising(*children, stop_seconds=60.0) as (_, echo):
        await echo.until(lambda lines: len(lines) == 2)
    assert [line for _, line in echo.lines[2:]] == ["worker ends", "server ends"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG")
@pytest.mark.parametrize("replaces_itself", [False, True])
def test_child_ends_with_its_parent_even_after_it_has_replaced_itself(tmp_path, replaces_itself):
    (tmp_path / "child.py").write_text(
        "import os, sys, threading, time\n"
        "from inferq.processes import end_with_parent\n"
        "end_with_parent()\n"
        "if os.environ.pop('REPLACE', ''):\n"
        "    threading.Thread(target=os.execv, args=(sys.executable, sys.orig_argv)).start()\n"
        "else:\n"
        "    print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "parent.py").write_text(
        "import os, subprocess, sys\n"
        f"environment = os.environ | {{{PARENT_VARIABLE!r}: str(os.getpid())}}\n"
        "subprocess.run([sys.executable, sys.argv[1]], env=environment)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py", tmp_path / "child.py"],
        env=os.environ | {"REPLACE": "1" if replaces_itself else ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent.stdout as output:
        pid = int(output.readline())
        parent.kill()
        parent.wait()
        try:
            wait_until(lambda: not is_running(pid), 60, "the end of the child")
        finally:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
