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
