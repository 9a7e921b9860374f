"""What was found of a candidate, as the API shows it."""

from collections.abc import Collection

from inferq.job_json import describe_provenance, format_time, make_job_path
from inferq.queue import DifferingJob, ShadowReport, show_id


def describe_candidate(report: ShadowReport, share: float, readable: Collection[str]) -> dict[str, object]:
    """Returns what is shown of a candidate; see `CandidateView`.

    Args:
        report: What was found.
        share: Share of the jobs that is drawn now.
        readable: Ids of the jobs that the client may read.
    """
    judged = report.compared + report.failed
    return {
        "version": report.version,
        "share": share,
        "since": format_time(report.since),
        "tolerance": report.tolerance,
        "primary": describe_provenance(report.primary),
        "candidate": describe_provenance(report.candidate),
        "agreement": report.agreed / judged if judged else None,
        "jobs": {
            "compared": report.compared,
            "agreed": report.agreed,
            "differed": report.differed,
            "failed": report.failed,
            "missed": report.missed,
            "skipped": report.skipped,
            "waiting": report.waiting,
        },
        "largest_difference": report.absolute,
        "largest_relative_difference": report.relative,
        "latency": {
            "primary": report.primary_runs.summarize()._asdict(),
            "candidate": report.candidate_runs.summarize()._asdict(),
        },
        "differing": [_describe_job(job) for job in report.differing if job.job_id in readable],
    }


def _describe_job(job: DifferingJob) -> dict[str, object]:
    return {
        "job_id": show_id(job.job_id),
        "href": make_job_path(job.job_id),
        "shadow_job_id": job.shadow_job_id,
        "shadow_href": make_job_path(job.shadow_job_id),
        "at": format_time(job.at),
        "difference": job.absolute,
        "relative_difference": job.relative,
        "where": job.where or None,
        "error": job.error,
    }
