import json

import pytest

from inferq.cli.predict import print_result


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
