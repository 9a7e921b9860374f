import json
import struct
from datetime import UTC, datetime

import pytest

from inferq.job_json import format_time, make_result_path, write_job_json
from inferq.jobs import Job, Status
from inferq.tensors.envelope import write_envelope


def shown(**fields):
    return json.loads(write_job_json(Job("x", Status.COMPLETED, **fields)))


def test_result_is_shown_byte_for_byte():
    stored = b'{"y": [1.10, 1e3, 12345678901234567890]}'
    assert b'"result":' + stored + b"," in write_job_json(Job("x", Status.COMPLETED, result=stored))


@pytest.mark.parametrize(
    "stored", [b"no json", b"{", b"", b"NaN", b"[Infinity]", b"\xff", b"1 2", b"[" * 9999]
)
def test_result_that_is_no_json_is_shown_as_a_string(stored):
    assert shown(result=stored)["result"] == stored.decode("utf-8", "replace")


@pytest.mark.parametrize("text", ['"', "\\", "\x00", "ジョブ", "\u2028"])
def test_any_id_and_error_are_escaped(text):
    view = json.loads(write_job_json(Job(text, Status.FAILED, error=text)))
    assert (view["job_id"], view["error"], view["result"]) == (text, text, None)


def test_times_are_rfc_3339_in_utc():
    assert format_time(datetime(2026, 1, 31, 12, 0, 0, 4000, UTC)) == "2026-01-31T12:00:00.004Z"
    assert format_time(None) is None


def test_long_result_that_is_known_to_be_json_is_not_parsed_again():
    stored = b"as it was stored" * 1000
    job = Job("x", Status.COMPLETED, result=stored, is_form_known=True)
    assert b'"result":%b,' % stored in write_job_json(job)


def make_tensors(count):
    entry = {
        "name": "y",
        "datatype": "INT64",
        "shape": [count],
        "parameters": {"binary_data_size": count * 8},
    }
    return write_envelope({"outputs": [entry]}, [struct.pack(f"<{count}q", *range(count))])


def test_few_values_of_tensors_are_shown_and_of_many_where_they_are():
    assert shown(result=make_tensors(2))["result"] == {"outputs": {"y": [0, 1]}}
    [described, href] = shown(result=make_tensors(5000), is_form_known=True)["result"].values()
    assert described == {"y": {"datatype": "INT64", "shape": [5000], "bytes": 40_000}}
    assert href == "/job/x/result"


def test_damaged_envelope_is_shown_as_a_string():
    stored = make_tensors(2)[:-1]
    assert shown(result=stored)["result"] == stored.decode("utf-8", "replace")


@pytest.mark.parametrize(("job_id", "path"), [("a/b", "/job/a%2Fb/result"), ("\udcff", "/job/%FF/result")])
def test_path_of_a_result_has_the_id_quoted(job_id, path):
    assert make_result_path(job_id) == path


def test_small_result_is_parsed_although_our_worker_has_stored_one():
    assert shown(result=b"overwritten since", is_form_known=True)["result"] == "overwritten since"


def test_id_from_outside_that_is_no_utf8_is_shown_with_replacements():
    assert (
        json.loads(write_job_json(Job("a\udcffb", Status.PENDING)))["job_id"] == "a\N{REPLACEMENT CHARACTER}b"
    )
