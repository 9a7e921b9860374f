"""The layout of a record has one source, and records are read as they were written."""

import pytest

from inferq.queue.schema.record import FIELDS, LUA_INCLUDES, lua_includes, parse_record


@pytest.mark.parametrize("name", lua_includes())
def test_lua_layout_is_made_of_the_fields(name):
    """Write it again as `schema/record.py` says."""
    assert (LUA_INCLUDES / f"{name}.lua").read_text(encoding="utf-8") == lua_includes()[name]


def test_a_record_reads_as_the_fields_that_have_a_value():
    values = [f"{name}-value" if name != "owner" else "" for name in FIELDS]
    expected = {name: f"{name}-value" for name in FIELDS if name != "owner"}
    assert parse_record("|".join([*values, ""]).encode()) == expected
    more = '{"alone":"1","attempt:1":{"kind":"model-error"},"failures":2,"state":"ended","webhook":null}'
    assert parse_record("|".join([*values, more]).encode()) == expected | {
        "alone": "1",
        "attempt:1": {"kind": "model-error"},
        "failures": "2",
    }


def test_what_is_no_record_has_no_fields():
    for stored in (
        None,
        b"",
        b"queued",
        b"queued|" * 40,
        b"{}",
        b"|" * 15 + b"[1]",
        b"|" * 15 + b"{",
        b"\xff|",
    ):
        assert parse_record(stored) == {}
