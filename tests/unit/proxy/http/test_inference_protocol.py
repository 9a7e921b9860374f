import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Priority
from inferq.proxy.http.inference_protocol import OutputWish, read_head_length, read_options

HEADER = b"inference-header-content-length"


def test_length_of_the_json_is_that_of_the_header():
    assert read_head_length([(b"host", b"x")]) is None
    assert read_head_length([(HEADER, b"0")]) == 0
    assert read_head_length([(HEADER, b"165")]) == 165


@pytest.mark.parametrize(
    "values", [[b""], [b"-1"], [b"1.5"], [b"1e3"], [b"9" * 10], [b"9" * 20], [b"1", b"1"]]
)
def test_header_that_is_no_length_is_refused(values):
    with pytest.raises(InvalidInputError, match="Inference-Header-Content-Length"):
        read_head_length([(HEADER, value) for value in values])


def test_request_without_wishes_asks_for_all_as_json():
    assert read_options({}, ["y"]) == (None, (), False, Priority.NORMAL, None)
    assert read_options({"id": "", "outputs": [], "parameters": None}, ["y"]).id is None


def test_output_says_otherwise_than_the_request():
    head = {
        "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False, "classification": 3}}],
        "parameters": {"binary_data_output": True},
    }
    assert read_options(head, ["a", "b"]).outputs == (OutputWish("a", True), OutputWish("b", False, 3))


@pytest.mark.parametrize(
    ("given", "priority"), [(0, "normal"), (1, "high"), (2, "normal"), (3, "low"), (2**63, "low")]
)
def test_lowest_number_is_the_highest_priority(given, priority):
    assert read_options({"parameters": {"priority": given}}, []).priority == priority


def test_timeout_is_in_microseconds_and_0_is_none():
    assert read_options({"parameters": {"timeout": 1_500_000}}, []).timeout_seconds == 1.5
    assert read_options({"parameters": {"timeout": 0}}, []).timeout_seconds is None
    assert read_options({"parameters": {"timeout": 10**400}}, []).timeout_seconds == 10**9


def test_parameters_of_a_sequence_that_is_none_are_taken():
    assert read_options({"parameters": {"sequence_id": 0, "sequence_start": False}}, []).id is None
    with pytest.raises(InvalidInputError, match="state between requests"):
        read_options({"parameters": {"sequence_id": "a"}}, [])
