"""Each end of a job is one line, however it is written, and never quotes the job's data."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from inferq.errors import ErrorKind, InvalidInputError, ModelError, TimedOutError
from inferq.jobs import Attempt, ClaimedJob, Job, Outcome, Status
from inferq.observability.job_log import JobLog
from inferq.observability.logs import configure_logging
from inferq.provenance import Provenance
from inferq.settings import Settings


@pytest.fixture(autouse=True)
def configuration_is_restored():
    yield
    structlog.reset_defaults()


def outcome_of(job_id="a", *, request_id="r-1", waited=2.0, **ended):
    submitted_at = datetime.now(UTC) - timedelta(seconds=waited + 0.5)
    job = ClaimedJob(
        job_id, "iris", b"[[1]]", 2, "token", submitted_at, request_id, claimed_for="9f2c 9f2c onnxruntime-1"
    )
    return Outcome(job, run_seconds=0.5, batch_jobs=3, **(ended or {"result": b"1"}))


def log_ends(outcomes, verdicts, **chosen):
    settings = Settings(**chosen)
    configure_logging(settings)
    JobLog(settings).jobs_ended(outcomes, verdicts)


def test_completed_job_is_one_line_with_all_that_is_known_of_it(capsys):
    log_ends([outcome_of()], ["completed"], log_format="json")
    line = json.loads(capsys.readouterr().err)
    assert 2.0 <= line.pop("waited_seconds") < 60
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "job_id": "a", "model": "iris", "version": "9f2c", "attempt": 2, "ran_seconds": 0.5, "batch_jobs": 3,
        "outcome": "completed", "request_id": "r-1", "event": "job_ended", "level": "info",
    }  # fmt: skip


def test_quick_lines_are_what_structlog_would_write(capsys):
    strange = 'x"\\\udcff\n花'
    for job_id, request_id in (("a", "r-1"), (strange, strange), ("b", "")):
        ended = outcome_of(job_id, request_id=request_id)
        log_ends([ended], ["late"], log_format="json")
        log_ends([ended._replace(error=TimedOutError("Too long."))], ["late"], log_format="json")
        quick, usual = map(json.loads, capsys.readouterr().err.splitlines())
        assert (usual.pop("error"), usual.pop("error_kind")) == ("Too long.", "timed-out")
        assert list(quick) == list(usual)
        for name in ("timestamp", "waited_seconds", "level"):
            assert type(quick.pop(name)) is type(usual.pop(name))
        assert quick == usual


def test_lines_of_several_runs_are_told_apart(capsys):
    first, second = outcome_of("a"), outcome_of("b")._replace(run_seconds=0.25, batch_jobs=1)
    log_ends([first, second, first], ["completed", "completed", "stale"], log_format="json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["job_id"], line["ran_seconds"], line["batch_jobs"]) for line in lines] == [
        ("a", 0.5, 3), ("b", 0.25, 1), ("a", 0.5, 3),
    ]  # fmt: skip
    assert [(line["event"], line["outcome"]) for line in lines] == [
        ("job_ended", "completed"), ("job_ended", "completed"), ("attempt_ended", "stale"),
    ]  # fmt: skip


def test_job_from_outside_without_a_time_has_waited_for_nobody_knows_how_long(capsys):
    ended = outcome_of()
    log_ends([ended._replace(job=ended.job._replace(submitted_at=None))], ["completed"], log_format="json")
    assert json.loads(capsys.readouterr().err)["waited_seconds"] is None


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    ("job_log_level", "log_level", "lines"),
    [
        *[("info", "info", 1), ("info", "warning", 0)],
        *[("debug", "info", 0), ("debug", "debug", 1), ("off", "debug", 0)],
    ],
)
def test_setting_chooses_the_level_of_jobs_that_complete(capsys, log_format, job_log_level, log_level, lines):
    log_ends(
        [outcome_of()], ["completed"], log_format=log_format, job_log_level=job_log_level, log_level=log_level
    )
    assert capsys.readouterr().err.count("job_ended") == lines


@pytest.mark.parametrize(
    ("error", "verdict", "event", "level", "words"),
    [
        (InvalidInputError("data[0] is 'secret'."), "failed", "job_ended", "info", None),
        (ModelError("idx=secret is out of bounds."), "retrying", "attempt_ended", "warning", None),
        (TimedOutError("The job timed out."), "failed", "job_ended", "warning", "The job timed out."),
    ],
)
def test_failure_is_logged_in_any_case_without_words_that_may_quote_data(error, verdict, event, level, words):
    settings = Settings(log_format="json", job_log_level="off")
    with capture_logs() as logged:
        JobLog(settings).jobs_ended([outcome_of(error=error)], [verdict])
    [line] = logged
    assert (line["event"], line["log_level"], line["outcome"]) == (event, level, verdict)
    assert (line["error_kind"], line.get("error")) == (error.kind, words)
    assert "secret" not in str(line)


AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ended_job(status=Status.FAILED, kind=None, error=None, **fields):
    usual = {"submitted_at": AT, "finished_at": AT + timedelta(seconds=5), "request_id": "r-1"}
    return Job("a", status, error=error, error_kind=kind, model="iris", **(usual | fields))


def note_ended(job, **chosen):
    settings = Settings(log_format="json", **chosen)
    configure_logging(settings)
    JobLog(settings).note_ended([job])


def test_end_in_no_run_is_the_same_line_without_what_tells_of_a_run(capsys):
    note_ended(ended_job(kind=ErrorKind.EXPIRED, error="Too late."))
    line = json.loads(capsys.readouterr().err)
    del line["timestamp"]
    assert line == {
        "job_id": "a", "model": "iris", "outcome": "failed", "waited_seconds": 5.0, "request_id": "r-1",
        "error_kind": "expired", "error": "Too late.", "event": "job_ended", "level": "warning",
    }  # fmt: skip


def test_job_that_was_stopped_has_waited_until_it_was_taken(capsys):
    started_at, finished_at = AT + timedelta(seconds=2), AT + timedelta(seconds=5)
    attempts = (
        Attempt(1, AT, AT + timedelta(seconds=1), "worker-1", ErrorKind.CRASHED),
        Attempt(2, started_at, finished_at, "worker-2", ErrorKind.CANCELLED),
    )
    note_ended(ended_job(kind=ErrorKind.CANCELLED, history=attempts, attempts=2, made_by=Provenance("9f2c")))
    line = json.loads(capsys.readouterr().err)
    assert (line["waited_seconds"], line["attempt"], line["version"]) == (2.0, 2, "9f2c")
    note_ended(ended_job(kind=ErrorKind.CANCELLED, history=attempts[:1], attempts=1))
    assert json.loads(capsys.readouterr().err)["waited_seconds"] == 5.0


@pytest.mark.parametrize(
    ("job", "level", "kind", "words"),
    [
        (ended_job(kind=ErrorKind.CANCELLED, error="By order."), "info", "cancelled", "By order."),
        (ended_job(kind=ErrorKind.CRASHED, error="Dead."), "warning", "crashed", "Dead."),
        (ended_job(kind=ErrorKind.INVALID_INPUT, error="secret"), "info", "invalid-input", None),
        (ended_job(submitted_at=None), "warning", "outside", None),
    ],
)
def test_failure_in_no_run_is_logged_in_any_case(job, level, kind, words):
    with capture_logs() as logged:
        JobLog(Settings(job_log_level="off")).note_ended([job])
    [line] = logged
    assert (line["log_level"], line["error_kind"], line.get("error")) == (level, kind, words)


@pytest.mark.parametrize(("job_log_level", "lines"), [("info", 1), ("debug", 0), ("off", 0)])
def test_setting_chooses_the_level_of_jobs_that_complete_outside(capsys, job_log_level, lines):
    note_ended(ended_job(Status.COMPLETED), job_log_level=job_log_level)
    assert capsys.readouterr().err.count('"outcome": "completed"') == lines
