from hypothesis import given
from hypothesis import strategies as st

from inferq.queue.schema.ids import decode_id, encode_id, show_id


@given(st.binary())
def test_any_bytes_come_back_from_the_id_that_they_were_read_as(stored):
    assert encode_id(decode_id(stored)) == stored


@given(st.binary(), st.binary())
def test_two_ids_in_redis_are_two_ids_in_python(one, other):
    assert (decode_id(one) == decode_id(other)) is (one == other)


@given(st.binary())
def test_shown_id_is_valid_text_in_which_only_what_is_no_utf8_is_replaced(stored):
    assert show_id(decode_id(stored)) == stored.decode("utf-8", "replace")
