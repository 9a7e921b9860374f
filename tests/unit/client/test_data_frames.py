import datetime
import json
from collections import namedtuple
from decimal import Decimal

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from inferq.client.data_frames import fit, fit_array, has_names
from inferq.client.encoding import write_json
from inferq.errors import InvalidInputError
from tests.model_documents import SEVERAL_INPUTS, document_of

TWO = document_of(-1, 2, features=["a", "b"])
BARE = document_of(-1, 2)
Row = namedtuple("Row", ["b", "a"])


def structured(**columns):
    names = list(columns)
    return np.array(list(zip(*columns.values(), strict=True)), dtype=[(name, np.float64) for name in names])


FORMS = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "pyarrow table": pyarrow.table,
    "pyarrow batch": pyarrow.RecordBatch.from_pydict,
    "dict of columns": dict,
    "dict of arrays": lambda columns: {name: np.array(one) for name, one in columns.items()},
    "records": lambda columns: [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ],
    "structured array": lambda columns: structured(**columns),
}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def sent(data, document):
    assert has_names(data)
    return json.loads(write_json(fit(data, document)))


def test_columns_go_by_name_in_the_models_order(form):
    assert sent(form({"b": [2.0, 4.0], "a": [1.0, 3.0]}), TWO) == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1.0]}, "Missing: 'b'"),
        ({"a": [1.0], "b": [2.0], "c": [3.0]}, "Unknown: 'c'"),
        ({"a": [1.0], "B": [2.0]}, "Missing: 'b'; unknown: 'B'"),
    ],
)
def test_columns_with_other_names_are_refused_by_name(form, columns, words):
    with pytest.raises(InvalidInputError, match=words):
        sent(form(columns), TWO)


def test_name_that_is_there_twice_is_refused():
    for frame in (
        pandas.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
        pyarrow.Table.from_arrays([pyarrow.array([1])] * 3, names=["a", "b", "a"]),
    ):
        with pytest.raises(InvalidInputError, match="There twice: 'a'"):
            sent(frame, TWO)


def test_columns_without_names_go_by_position():
    for frame in (
        pandas.DataFrame([[1, 2]]),
        polars.DataFrame([[1], [2]]),
        pandas.DataFrame([[1, 2]], columns=["0", "1"]),
    ):
        assert sent(frame, TWO) == sent(frame, BARE) == [[1, 2]]


def test_numbered_columns_in_another_order_are_refused():
    shuffled = pandas.DataFrame([[1, 2]])[[1, 0]]
    for document in (TWO, BARE):
        with pytest.raises(InvalidInputError):
            sent(shuffled, document)


def test_named_columns_go_by_position_where_the_model_has_no_names(form):
    assert sent(form({"q": [1.0], "p": [2.0]}), BARE) == [[1.0, 2.0]]


def test_columns_of_a_model_with_several_inputs_are_its_inputs():
    columns = {"name": ["ann", "bob"], "age": [3, 4]}
    for name in ("pandas", "polars", "pyarrow table", "pyarrow batch", "dict of columns", "records"):
        assert sent(FORMS[name](columns), SEVERAL_INPUTS) == {"name": ["ann", "bob"], "age": [[3], [4]]}


def test_model_with_several_inputs_takes_no_other_columns():
    for columns in ({"age": [1], "nom": ["x"]}, {"age": [1]}, {0: [1], 1: ["x"]}):
        with pytest.raises(InvalidInputError, match=r"has several inputs.*'age', 'name'"):
            sent(pandas.DataFrame(columns), SEVERAL_INPUTS)


def test_columns_may_be_inputs_that_can_be_left_out_too():
    [x] = document_of(-1)["inputs"]
    y = x | {"name": "y"}
    one = document_of(-1) | {"optional_inputs": [y]}
    none = document_of(-1) | {"inputs": [], "optional_inputs": [x, y]}
    for name in ("pandas", "polars", "dict of columns", "dict of arrays"):
        both, first = FORMS[name]({"x": [1, 2], "y": [3, 4]}), FORMS[name]({"x": [1, 2]})
        assert fit_array(both, one) is None
        assert sent(both, one) == sent(both, none) == {"x": [1, 2], "y": [3, 4]}
        assert sent(first, one) == sent(first, none) == {"x": [1, 2]}
        assert sent(FORMS[name]({"y": [1, 2]}), one) == {"y": [1, 2]}  # the service says that x is missing
        with pytest.raises(InvalidInputError, match="named, 'x', 'y'; got 'q'"):
            sent(FORMS[name]({"q": [1]}), none)
    assert sent({"x": [[1]], "y": pandas.DataFrame({"q": [2]})}, one) == {"x": [[1]], "y": [2]}


def test_dict_of_named_inputs_stays_one_and_its_frames_go_by_name():
    assert not has_names({"x": [[1.0, 2.0]]})
    assert sent({"x": pandas.DataFrame({"b": [2], "a": [1]})}, TWO) == {"x": [[1, 2]]}
    assert sent({"age": [1, 2], "name": np.array(["a", "b"])}, SEVERAL_INPUTS) == {
        "age": [[1], [2]],
        "name": ["a", "b"],
    }
    assert sent({"x": pandas.DataFrame({"b": [2], "a": [1]}), "y": [[1]]}, BARE) == {
        "x": [[2, 1]],
        "y": [[1]],
    }
    with pytest.raises(InvalidInputError, match="unknown: 'c'"):
        sent({"x": pandas.DataFrame({"a": [2], "c": [1]})}, TWO)


@pytest.mark.parametrize(
    "rows",
    [
        [Row(2.0, 1.0)],
        [pandas.Series({"b": 2.0, "a": 1.0})],
        [structured(b=[2.0], a=[1.0])[0]],
        [{"b": 2.0, "a": 1.0}],
    ],
    ids=["named tuple", "series", "record", "dict"],
)
def test_rows_that_say_names_go_by_name(rows):
    assert sent(rows, TWO) == [[1.0, 2.0]]


def test_rows_that_differ_in_their_names_are_refused():
    with pytest.raises(InvalidInputError, match="Row 1 has the names 'a', but the first has 'b', 'a'"):
        sent([{"b": 2.0, "a": 1.0}, {"a": 1.0}], TWO)


def test_rows_without_names_need_no_document():
    for rows in ([[1.0, 2.0]], [pandas.Series([1.0, 2.0])], np.ones((1, 2)), [polars.Series([1.0, 2.0])], []):
        assert not has_names(rows)


@pytest.mark.parametrize(
    "series", [pandas.Series([1.5, 2.5], name="v"), polars.Series("v", [1.5, 2.5])], ids=type
)
def test_series_is_one_column(series):
    assert sent(series, document_of(-1)) == [1.5, 2.5]
    assert sent(series, document_of(-1, 1)) == [[1.5], [2.5]]
    assert sent(series, document_of(-1, 1, features=["v"])) == [[1.5], [2.5]]
    with pytest.raises(InvalidInputError, match="unknown: 'v'"):
        sent(series, document_of(-1, 1, features=["w"]))
    assert sent(series.rename(None) if hasattr(series, "iloc") else series.rename(""), document_of(-1)) == [
        1.5,
        2.5,
    ]


def test_column_named_as_the_only_input_is_that_input():
    assert sent(polars.DataFrame({"x": [[1.5, 2.5], [3.5, 4.5]]}), TWO) == {"x": [[1.5, 2.5], [3.5, 4.5]]}


def test_missing_values_become_null_where_the_datatype_is_a_float():
    frame = pandas.DataFrame(
        {"a": pandas.array([1, None], dtype="Int64"), "b": np.array([np.nan, 5.1], "f4")}
    )
    expected = [[1, None], [None, 5.1]]
    assert sent(frame, TWO) == expected
    assert sent(polars.from_pandas(frame), TWO) == expected
    assert sent(pyarrow.Table.from_pandas(frame), TWO) == expected
    assert sent(pyarrow.RecordBatch.from_pandas(frame), TWO)[0] == [1, None]


@pytest.mark.parametrize(
    "values", [[1, None], [1.0, float("nan")], [1.0, float("inf")], pandas.array([1, None], dtype="Int64")]
)
@pytest.mark.parametrize("datatype", ["INT64", "BYTES", "BOOL"])
def test_missing_value_is_refused_where_the_datatype_has_none(values, datatype):
    with pytest.raises(InvalidInputError, match=f"Column 'v' has .* in row 1, which {datatype}"):
        sent(pandas.DataFrame({"v": values}), document_of(-1, 1, datatype=datatype))


def test_whole_numbers_stay_whole_beside_other_columns():
    large = 2**62 + 1
    frame = pandas.DataFrame({"a": [large], "b": [True], "c": pandas.Categorical([7])})
    assert sent(frame, document_of(-1, 3, datatype="INT64")) == [[large, True, 7]]


def test_categories_are_sent_as_their_values():
    for frame in (
        pandas.DataFrame({"c": pandas.Categorical(["x", "y"])}),
        polars.DataFrame({"c": ["x", "y"]}, schema={"c": polars.Categorical}),
        pyarrow.table({"c": pyarrow.array(["x", "y"]).dictionary_encode()}),
    ):
        assert sent(frame, document_of(-1, datatype="BYTES")) == ["x", "y"]


def test_decimals_are_numbers():
    assert sent(polars.DataFrame({"a": [Decimal("1.10")], "b": [Decimal("2.5")]}), TWO) == [[1.1, 2.5]]


@pytest.mark.parametrize(
    "value",
    [datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), datetime.timedelta(1), b"x"],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "form", [pandas.DataFrame, polars.DataFrame, pyarrow.table], ids=["pandas", "polars", "pyarrow"]
)
def test_column_that_json_has_not_is_refused_by_name(form, value):
    with pytest.raises(InvalidInputError, match="Column 'b' cannot be sent"):
        sent(form({"a": [1.0], "b": [value]}), TWO)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InvalidInputError, match="different lengths: 1, 2"):
        sent({"a": [1.0], "b": [1.0, 2.0]}, TWO)


def test_frame_that_cannot_be_read_is_refused():
    with pytest.raises(InvalidInputError, match="LazyFrame"):
        has_names(polars.DataFrame({"a": [1]}).lazy())
