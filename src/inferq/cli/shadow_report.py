"""`inferq models shadow`: how candidates compare with the version that serves."""

from typing import Annotated, Any

import typer

from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_missing, print_table
from inferq.number_format import format_number

_MOST_SHOWN = 10


def shadow(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model.", show_default=False)],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Tell how candidates compare with the version that serves, and on which jobs they differ."""
    with open_client(url) as client:
        report = client.shadow(name)
    if as_json:
        print_json(report)
        return
    print_missing(report)
    if not report["candidates"]:
        print_line(
            f"No version of {name} is a shadow. To begin: inferq models rollout {name} --shadow VERSION=0.1"
        )
    for candidate in report["candidates"]:
        _print_candidate(name, candidate)


def _print_candidate(name: str, candidate: dict[str, Any]) -> None:
    jobs, primary = candidate["jobs"], candidate["primary"]
    beside = f", beside version {primary['version']}" if primary else ""
    print_line(f"{name}@{candidate['version']}: {candidate['share'] * 100:.3g}% of the jobs{beside}")
    rows = [
        ("since", candidate["since"]),
        ("agreement", _format_share(candidate["agreement"])),
        *(
            (what, jobs[what])
            for what in ("compared", "agreed", "differed", "failed", "missed", "skipped", "waiting")
        ),
        ("largest difference", f"{candidate['largest_difference']:.3g}"),
        ("relative difference", _format_relative(candidate)),
    ]
    print_table(("what", "found"), rows)
    latencies = candidate["latency"]
    columns = ("p50_seconds", "p95_seconds", "p99_seconds", "mean_seconds", "mean_batch_jobs")
    print_table(
        ("run of", "p50 ms", "p95 ms", "p99 ms", "mean ms", "jobs in it"),
        [
            (side, *(_format_number(column, latencies[side][column]) for column in columns))
            for side in ("primary", "candidate")
        ],
    )
    _print_differing(candidate["differing"])


def _print_differing(jobs: list[dict[str, Any]]) -> None:
    if jobs:
        print_table(
            ("job that differs", "on the candidate", "difference", "relative", "where, or error"),
            [
                (
                    one["job_id"],
                    one["shadow_job_id"],
                    *(_format_number("", one[key]) for key in ("difference", "relative_difference")),
                    one["error"] or one["where"],
                )
                for one in jobs[:_MOST_SHOWN]
            ],
        )
    if len(jobs) > _MOST_SHOWN:
        print_line(f"{len(jobs) - _MOST_SHOWN} more: --json")


def _format_share(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _format_relative(candidate: dict[str, Any]) -> str:
    tolerance = candidate["tolerance"]
    return f"{candidate['largest_relative_difference']:.3g}" + (
        f", at most {tolerance:g} agrees" if tolerance is not None else ""
    )


def _format_number(column: str, number: float | None) -> str:
    if number is None:
        return ""
    return format_number(number * 1e3 if column.endswith("_seconds") else number, 3)
