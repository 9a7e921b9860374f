import pytest

from inferq.cli.csv_files import read_csv
from inferq.errors import InvalidInputError
from tests.model_documents import SEVERAL_INPUTS, document_of

TWO = document_of(-1, 2, features=["a", "b"])
NAMELESS = document_of(-1, 2)
WHOLE = document_of(-1, 2, datatype="INT64")
TEXT = document_of(-1, 1, datatype="BYTES")


def rows(text, document, **options):
    return [list(row) for row in read_csv(text, document, **options).data]


def test_header_puts_columns_in_the_models_order_and_what_it_assumes_is_said():
    read = read_csv("b,c,a\n2,x,1\n", TWO)
    assert read.data == [(1, 2)]
    assert read.notes == ["The first line is a header.", "Columns that the model has not are left out: 'c'."]


def test_rows_without_a_header_keep_their_order():
    read = read_csv("1,2.5\n3,4\n", TWO)
    assert read.data == [(1, 2.5), (3, 4)]
    assert read.notes == ["The first line is a row, not a header."]
    assert rows("nan,inf\n", NAMELESS)[0][1] == float("inf")


@pytest.mark.parametrize("document", [TWO, NAMELESS, WHOLE], ids=["features", "no features", "whole numbers"])
def test_numbered_first_line_is_asked_about(document):
    with pytest.raises(
        InvalidInputError, match=r"'0,1', may be a header or a row. Say --header or --no-header"
    ):
        read_csv("0,1\n5,6\n", document)
    assert rows("0,1\n5,6\n", document, has_header=True) == [[5, 6]]
    assert rows("0,1\n5,6\n", document, has_header=False) == [[0, 1], [5, 6]]


def test_words_are_a_header_of_numbers():
    assert rows("p,q\n1,2\n", NAMELESS) == [[1, 2]]
    with pytest.raises(InvalidInputError, match="Missing: 'b'; unknown: 'c'"):
        read_csv("a,c\n1,2\n", TWO)


@pytest.mark.parametrize("document", [TWO, NAMELESS, WHOLE], ids=["features", "no features", "whole numbers"])
def test_first_row_with_a_bad_cell_is_asked_about_and_never_lost(document):
    with pytest.raises(InvalidInputError, match=r"'5,n/a', may be a header or a row. Say --header or --no"):
        read_csv("5,n/a\n6,7\n", document)
    with pytest.raises(InvalidInputError, match="Line 1 of the CSV file, column '1'"):
        read_csv("5,n/a\n6,7\n", document, has_header=False)


def test_empty_name_of_an_index_leaves_a_header_one():
    read = read_csv(",a,b\n0,5,6\n", TWO)
    assert read.data == [(5, 6)]
    assert rows(",p\n1,2\n", NAMELESS) == [[1, 2]]


def test_only_line_that_is_taken_for_a_header_is_shown():
    with pytest.raises(InvalidInputError, match=r"'5,1;6,2', is taken for a header.*--no-header"):
        read_csv("5,1;6,2\n", TWO)


def test_first_of_several_texts_is_asked_about():
    with pytest.raises(InvalidInputError, match="--no-header"):
        read_csv("good\nbad\nugly\n", TEXT)
    assert rows("good\nbad\nugly\n", TEXT, has_header=False) == [["good"], ["bad"], ["ugly"]]
    assert rows("good\nbad\nugly\n", TEXT, has_header=True) == [["bad"], ["ugly"]]


@pytest.mark.parametrize("document", [TEXT, document_of(-1, 1, datatype="BYTES", features=["x"])])
def test_header_of_texts_is_known_by_the_name_of_the_input_or_feature(document):
    assert read_csv("x\ngood\n", document).data in ({"x": [["good"]]}, [("good",)])


def test_texts_are_taken_exactly_as_they_are_written():
    text = '"  padded "\r\n00123\r\n 1.50\r\n"two\r\nlines"\r\n""\r\n"say ""hi"", ok"\r\nNaN\r\n'
    assert rows(text, TEXT, has_header=False) == [
        ["  padded "],
        ["00123"],
        [" 1.50"],
        ["two\r\nlines"],
        [""],
        ['say "hi", ok'],
        ["NaN"],
    ]
    assert rows("x" * 200_000, TEXT, has_header=False) == [["x" * 200_000]]


def test_columns_of_several_inputs_go_by_name():
    assert read_csv("name,age\nann,3\n007,4\n", SEVERAL_INPUTS).data == {
        "name": ["ann", "007"],
        "age": [[3], [4]],
    }
    for text, has_header in (("ann,3\n", None), ("name,age\nann,3\n", False)):
        with pytest.raises(InvalidInputError):
            read_csv(text, SEVERAL_INPUTS, has_header=has_header)


def test_empty_cell_is_a_missing_number_only_among_floats():
    assert rows("1,\n", TWO) == [[1, None]]
    with pytest.raises(InvalidInputError, match=r"Line 1.*expected a whole number"):
        read_csv("1,\n", WHOLE, has_header=False)


@pytest.mark.parametrize(
    ("document", "good", "bad"),
    [
        (TWO, "5", "1_000"),
        (TWO, "5", "1e999"),
        (TWO, "5", "\uff11"),
        (TWO, "5", "1,5"),
        (TWO, "5", "N/A"),
        (WHOLE, "5", "1.0"),
        (WHOLE, "5", "1_0"),
        (document_of(-1, 2, datatype="BOOL"), "true", "1"),
    ],
)
def test_cell_that_is_not_of_the_datatype_is_named_by_its_line_and_column(document, good, bad):
    with pytest.raises(InvalidInputError, match="Line 3 of the CSV file, column '1'"):
        read_csv(f'{good},{good}\n\n{good},"{bad}"\n', document, has_header=False)


def test_booleans_are_read_however_they_are_written():
    assert rows("True,FALSE\n", document_of(-1, 2, datatype="BOOL")) == [[True, False]]


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_delimiters_are_found_by_the_number_of_columns_and_said(delimiter, name):
    for document in (TWO, NAMELESS, document_of(-1, -1)):
        read = read_csv(f"5.1{delimiter}6\n", document)
        assert read.data == [(5.1, 6)]
        assert f"The cells are separated by {name}." in read.notes
    assert rows(f"b{delimiter}c{delimiter}a\n2{delimiter}x{delimiter}1\n", TWO) == [[1, 2]]


def test_texts_of_one_column_are_never_taken_apart():
    assert rows("a; b\nc\td\n", TEXT, has_header=False) == [["a; b"], ["c\td"]]
    with pytest.raises(InvalidInputError, match="Line 2 of the CSV file has 1 cells, but the first has 2"):
        read_csv("hello, world\nbye\n", TEXT, has_header=False)


def test_decimal_commas_are_not_taken_for_columns():
    with pytest.raises(InvalidInputError, match="Line 1 of the CSV file, column"):
        read_csv("5,1;6,2\n", TWO, has_header=False)


@pytest.mark.parametrize("text", ["1,2\n3\n", "a,b\n1,2\n\n3,4,5\n"])
def test_ragged_row_is_named_by_its_line(text):
    number = text.count("\n")
    with pytest.raises(
        InvalidInputError, match=f"Line {number} of the CSV file has . cells, but the first has 2"
    ):
        read_csv(text, TWO)


def test_line_numbers_count_lines_within_quotes():
    with pytest.raises(InvalidInputError, match="Line 4 of the CSV file has 2 cells"):
        read_csv('"a\nb\nc"\nd,e\n', TEXT, has_header=False)


def test_blank_line_among_texts_is_asked_about_and_passed_over_elsewhere():
    with pytest.raises(InvalidInputError, match="Line 2 of the CSV file is blank"):
        read_csv("a\n\nb\n", TEXT, has_header=False)
    assert rows("a\nb\n\n\n", TEXT, has_header=False) == [["a"], ["b"]]
    assert rows("\n1,2\n\n3,4\n", TWO) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", ["", "\n", "a,b\n", '"a', 'a,"b"c\n'])
def test_file_without_rows_or_with_broken_quotes_is_refused(text):
    with pytest.raises(InvalidInputError):
        read_csv(text, TWO)
