"""What a command exits with, and how it prints results."""

import json

import httpx
import pytest

from inferq.cli.output import choose_exit_code, print_line, print_result
from inferq.client.answers import make_error
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_every_problem_is_an_error_of_its_own_and_one_that_passes_exits_with_5(kind):
    problem = problems.make_example(kind, "/predict")
    error = make_error("POST /predict", httpx.Response(problem["status"], json=problem))
    assert error.kind == kind
    assert (choose_exit_code(error) == 5) == (problem["status"] == 503)


@pytest.mark.parametrize(
    "result",
    [
        {"prediction": [0, 1], "class_name": ["a"], "probabilities": None},
        {"prediction": [0, 1], "class_name": "ab", "probabilities": None},
        {"prediction": None, "class_name": None, "probabilities": None},
        ["anything"],
        "text",
    ],
)
def test_result_that_is_no_table_is_printed_as_it_is(result, capsys):
    print_result(result)
    assert json.loads(capsys.readouterr().out) == result


@pytest.mark.parametrize(("prediction", "name"), [(0, "a"), ([0, 1], ["a", "b"])])
def test_result_of_a_classifier_is_a_table(prediction, name, capsys):
    print_result({"prediction": prediction, "class_name": name, "probabilities": None})
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["prediction", "class_name"]
    assert len(rows) == (2 if isinstance(name, list) else 1)


def test_lines_to_write_can_be_copied_and_none_passes_for_a_message(capsys):
    print_line('inferq: Write:\n[image]\nscale = "1/255"\r\x1b[2K\ninferq: done', err=True)
    assert capsys.readouterr().err.split("\n") == [
        "inferq: Write:",
        "  [image]",
        '  scale = "1/255"\ufffd\ufffd[2K',
        "  inferq: done",
        "",
    ]
