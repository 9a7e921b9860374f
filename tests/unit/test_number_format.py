import pytest

from inferq.number_format import format_number


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        (2_592_000, 12, "2592000"),
        (0.1 + 0.2, 12, "0.3"),
        (1234.5, 3, "1230"),
        (0.005678, 2, "0.0057"),
        (200.4, 2, "200"),
        (0, 3, "0"),
    ],
)
def test_numbers_are_rounded_and_have_no_powers_of_ten(number, digits, text):
    assert format_number(number, digits) == text
