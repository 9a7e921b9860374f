"""The commands `inferq jobs errors`, `retry` and `delete`: failed jobs by error, and many jobs at once."""

import sys
from typing import Annotated, Any

import typer

from inferq.cli.job_filters import OfModel, OfOwner, Since, Until, WithError, WithId, WithKind, WithStatus
from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_missing, print_table
from inferq.errors import InvalidInputError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count them.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def errors(
    model: OfModel = None,
    owner: OfOwner = None,
    error_kind: WithKind = None,
    error: WithError = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Group failed jobs by their error, in which … stands for each id and number."""
    with open_client(url) as client:
        found = client.job_errors(
            model=model, owner=owner, error_kind=error_kind, error=error, since=since, until=until
        )
    if as_json:
        for group in found["groups"]:
            print_json(group)
    else:
        columns = ("count", "model", "error_kind", "latest_at", "example_job_id", "error")
        print_table(columns, ([group[name] for name in columns] for group in found["groups"]))
    print_missing(found)
    if not found["is_complete"]:
        print_line("inferq: there are more; these are the latest.", err=True)


def retry(
    model: OfModel = None,
    owner: OfOwner = None,
    error_kind: WithKind = None,
    error: WithError = None,
    id_prefix: WithId = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Try all failed jobs again that are found, each under its id."""
    wanted = {
        "status": "failed",
        "model": model,
        "owner": owner,
        "error_kind": error_kind,
        "error": error,
        "id_prefix": id_prefix,
        "since": since,
        "until": until,
    }
    _change(url, "retry", wanted, dry_run=dry_run, yes=yes)


def delete(
    status: WithStatus = None,
    model: OfModel = None,
    owner: OfOwner = None,
    error_kind: WithKind = None,
    error: WithError = None,
    id_prefix: WithId = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Delete all ended jobs that are found, with all they hold."""
    wanted = {
        "status": status,
        "model": model,
        "owner": owner,
        "error_kind": error_kind,
        "error": error,
        "id_prefix": id_prefix,
        "since": since,
        "until": until,
    }
    _change(url, "delete", wanted, dry_run=dry_run, yes=yes)


def _change(url: str | None, action: str, wanted: dict[str, Any], *, dry_run: bool, yes: bool) -> None:
    """Counts the jobs, asks, changes them, and says how many were; 1 is the exit code if any was skipped."""
    with open_client(url) as client:
        if dry_run or not yes:
            found = client.change_jobs(action, dry_run=True, **wanted)
            count = found["matched"]
            if dry_run or not count:
                print_line(f"{count} jobs are found.")
                print_missing(found)
                return
            _confirm(count, action)
        report = client.change_jobs(action, **wanted)
    print_line(f"{report['changed']} of {report['matched']} jobs: {action} done.")
    print_missing(report)
    for kind, count in report["skipped_by_kind"].items():
        print_line(f"inferq: {count} were skipped: {kind}.", err=True)
    if report["skipped"]:
        raise typer.Exit(1)


def _confirm(count: int, action: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"{count} jobs would be concerned. Say --yes, since nobody can be asked here."
        )
    typer.confirm(f"{action.capitalize()} {count} jobs?", abort=True)
