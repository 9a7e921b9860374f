import signal

import pytest

from tests.e2e.processes import Program
from tests.servers import Server


@pytest.fixture
def start(request):
    """Starts programs and makes sure that none outlives the test."""
    programs = []

    def start_program(*command, **settings):
        programs.append(Program(*command, **settings))
        return programs[-1]

    yield start_program
    for program in programs:
        program.end()
        print(program.output)  # shown by pytest if the test failed


@pytest.fixture
def outside_server():
    server = Server("valkey").start()
    yield server
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def hangup_is_heard():
    """Under nohup, children would inherit that the hangup of a terminal is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
