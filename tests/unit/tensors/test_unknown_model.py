from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given

from inferq.errors import InvalidInputError
from inferq.tensors.unknown_model import check_unknown_model_data
from tests.unit.tensors.strategies import fitting, json_values


@given(fitting(min_axes=1))
def test_data_that_fits_any_model_passes_where_the_model_is_unknown(case):
    _, data = case
    check_unknown_model_data(data)
    check_unknown_model_data({"x0": data})


@given(json_values)
def test_any_json_for_an_unknown_model_is_accepted_or_refused_but_nothing_else(data):
    with suppress(InvalidInputError):
        check_unknown_model_data(data, max_rows=2)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("text", "must be an array"),
        (None, "must be an array"),
        (3, "must be an array"),
        ([[[1], [1, 2]]], "others have 1"),
        ([[[1], 2]], "like its neighbours"),
        ([None, "a"], "one kind"),
        (["NaN", True], "one kind"),
        ([{"a": 1}], "an object"),
        ([1, "a"], "one kind"),
        ([1, True], "one kind"),
        ([1, 2, 3], "at most 2"),
        ({"x": [1, 2, 3]}, "at most 2"),
        ({"x": [[[1], []]]}, r'data\["x"\]\[0\]\[1\]'),
        ({"x": {"a": {}}}, "an object"),
        ({"x": {}}, "an object"),
    ],
)
def test_what_no_model_could_take_is_refused_where_the_model_is_unknown(data, reason):
    with pytest.raises(InvalidInputError, match=reason):
        check_unknown_model_data(data, max_rows=2)


@pytest.mark.parametrize("value", [[[1], [1, 2]], [[1], 2], None, {"a": 1, "b": None}])
def test_sequences_maps_and_what_is_absent_pass_where_the_model_is_unknown(value):
    check_unknown_model_data({"x": value})


def test_arrays_nested_beyond_the_stack_are_handled_where_the_model_is_unknown():
    data: list[Any] = [1]
    for _ in range(10_000):
        data = [data]
    check_unknown_model_data(data)
