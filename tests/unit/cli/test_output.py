"""What a command exits with."""

import httpx
import pytest

from inferq.cli.output import exit_code
from inferq.client.answers import make_error
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_every_problem_is_an_error_of_its_own_and_one_that_passes_exits_with_5(kind):
    problem = problems.make_example(kind, "/predict")
    error = make_error("POST /predict", httpx.Response(problem["status"], json=problem))
    assert error.kind == kind
    assert (exit_code(error) == 5) == (problem["status"] == 503)
