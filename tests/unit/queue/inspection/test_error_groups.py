import pytest

from inferq.queue.inspection.error_groups import generalize_error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("The run took longer than 3600 s.", "The run took longer than … s."),
        ("shape [2, 3, -1]", "shape […, …, …]"),
        ("from 1.5e-07 to -2,000.25 at 12:30:01", "from … to … at …"),
        ("job 3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071 is gone", "job … is gone"),
        ("id 8E03978E-40d5-43dd-bc93-6894a57f9324.", "id …."),
        ("at 0x7f3a, not deadbeef", "at …, not deadbeef"),
        ("FP32, INT64 and conv2d_17 stay", "FP32, INT64 and conv2d_17 stay"),
        ("worker host-4f2a-1 ended (after 3 attempts)", "worker host-…-… ended (after … attempts)"),
        ("x" * 600, "x" * 500),
        ("", ""),
    ],
)
def test_ids_and_numbers_in_an_error_are_left_out_and_names_stay(error, expected):
    assert generalize_error(error) == expected
