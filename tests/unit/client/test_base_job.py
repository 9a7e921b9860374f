from datetime import UTC, datetime

from inferq.client.base_job import BaseJob


def test_job_in_a_notebook_shows_what_it_is_and_runs_no_script():
    view = {"status": "failed", "error": "<script>alert(1)</script>", "model": "iris", "attempts": 3}
    html = BaseJob("a<b", view)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "a&lt;b" in html


def test_version_of_the_model_is_that_of_the_view():
    assert BaseJob("a", {"model_version": "0123456789ab"}).model_version == "0123456789ab"
    assert BaseJob("a", {}).model_version is None


def test_job_shown_in_a_terminal_has_no_control_characters():
    assert repr(BaseJob("a\x1b[31m", {"status": "\u202e"})) == "<BaseJob a\ufffd[31m \ufffd>"


def test_expected_times_are_times_where_the_service_can_tell_them():
    job = BaseJob("a", {"expected_start_at": "2026-01-31T12:00:01.250Z", "expected_end_at": None})
    assert job.expected_start_at == datetime(2026, 1, 31, 12, 0, 1, 250_000, UTC)
    assert (job.expected_end_at, BaseJob("a").expected_start_at) == (None, None)
