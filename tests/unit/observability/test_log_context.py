"""Lines carry the ids of what they are about."""

import asyncio

import structlog
from structlog.testing import capture_logs

from inferq.jobs import ClaimedJob
from inferq.observability.log_context import add_log_ids, add_log_job, begin_log_ids, log_jobs

log = structlog.get_logger()


def job(job_id, request_id=""):
    return ClaimedJob(job_id, "iris", b"1", 1, "token", request_id=request_id)


def test_lines_of_a_run_name_its_jobs_and_their_requests():
    with capture_logs(processors=[add_log_ids]) as logged:
        with log_jobs([job("a", "r-1"), job("b", "r-1"), job("c")]):
            log.info("batch_split")
            with log_jobs([job("a", "r-1")]):
                log.info("run_failed")
        with log_jobs([job("a", "r-1"), job("b", "r-2")]):
            log.info("batch_split")
        log.info("worker_stopped")
    ids = [{name: value for name, value in line.items() if "id" in name} for line in logged]
    assert ids == [
        {"job_ids": ["a", "b", "c"], "request_id": "r-1"},
        {"job_id": "a", "request_id": "r-1"},
        {"job_ids": ["a", "b"], "request_ids": ["r-1", "r-2"]},
        {},
    ]


async def test_tasks_of_several_requests_do_not_mix_their_ids():
    async def serve(number):
        begin_log_ids({"request_id": f"r-{number}", "owner": "ann"})
        await asyncio.sleep(0)
        add_log_job(f"job-{number}")
        await asyncio.sleep(0)
        log.info("answered", number=number)

    with capture_logs(processors=[add_log_ids]) as logged:
        await asyncio.gather(*map(serve, range(3)))
    assert {(line["number"], line["request_id"], line["job_id"]) for line in logged} == {
        (number, f"r-{number}", f"job-{number}") for number in range(3)
    }
    assert not any("owner" in line for line in logged)


def test_job_outside_of_a_request_is_no_part_of_later_lines():
    add_log_job("a")
    with capture_logs(processors=[add_log_ids]) as logged:
        log.info("worker_ready")
    assert "job_id" not in logged[0]


def test_what_a_line_says_itself_counts_more():
    with capture_logs(processors=[add_log_ids]) as logged, log_jobs([job("a")]):
        log.info("webhook_failed", job_id="b")
    assert logged[0]["job_id"] == "b"
