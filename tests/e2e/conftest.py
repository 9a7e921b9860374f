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
