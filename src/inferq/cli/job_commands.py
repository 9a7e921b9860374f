"""The commands `inferq job` and `inferq jobs`."""

from typing import Annotated

import typer

from inferq.cli.job_filters import OfModel, OfOwner, Since, Until, WithError, WithId, WithKind, WithStatus
from inferq.cli.job_result import wait_for_result
from inferq.cli.output import (
    AsJson,
    Url,
    open_client,
    print_json,
    print_line,
    print_result,
    print_table,
    printed_warnings,
)
from inferq.jobs import Status

job_app = typer.Typer(help="One job: show, wait, watch, cancel, retry.", no_args_is_help=True)

jobs_app = typer.Typer(invoke_without_command=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="What submitting the job printed.")]


@job_app.command()
def show(job_id: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Show a job with all its attempts."""
    with open_client(url) as client:
        view = client.job(job_id).view
    print_json(view, indent=None if as_json else 2)


@job_app.command()
def wait(
    job_id: JobId,
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait, s.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Wait for a job's end and print its result."""
    with open_client(url) as client:
        result = wait_for_result(client, client.job(job_id), timeout)
    print_json(result) if as_json else print_result(result)


@job_app.command()
def watch(job_id: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Print each change of a job until it has ended."""
    with open_client(url) as client:
        for job in client.job(job_id).watch():
            if as_json:
                print_json(job.view)
            else:
                position = f", number {job.queue_position} in the queue" if job.queue_position else ""
                end = job.expected_end_at
                expected = f", expected to end at {end.astimezone():%H:%M:%S}" if end else ""
                done = "" if job.progress is None else f", {job.progress:.0%} done"
                print_line(f"{job.status}{position}{done}{expected}{f': {job.error}' if job.error else ''}")
    if job.status == Status.FAILED:
        raise typer.Exit(1)


@job_app.command()
def cancel(job_id: JobId, url: Url = None) -> None:
    """Cancel a job: a waiting one never runs, a running one is stopped."""
    with open_client(url) as client:
        print_line(f"{client.job(job_id).cancel().id} is cancelled.")


@job_app.command()
def retry(job_id: JobId, url: Url = None) -> None:
    """Try a failed job again: it is queued under the same id."""
    with open_client(url) as client:
        print_line(f"{client.job(job_id).retry().id} is queued again.")


@jobs_app.callback()
def jobs(
    context: typer.Context,
    status: WithStatus = None,
    model: OfModel = None,
    owner: OfOwner = None,
    error_kind: WithKind = None,
    error: WithError = None,
    id_prefix: WithId = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List jobs, the latest first; or group, retry, cancel or delete many."""
    if context.invoked_subcommand is not None:
        return
    with open_client(url) as client, printed_warnings():
        found = [
            job.view
            for _, job in zip(
                range(limit),
                client.jobs(
                    status=status,
                    model=model,
                    page_size=min(limit, 500),
                    owner=owner,
                    error_kind=error_kind,
                    error=error,
                    id_prefix=id_prefix,
                    since=since,
                    until=until,
                ),
                strict=False,
            )
        ]
    if as_json:
        for view in found:
            print_json(view)
    else:
        columns = ("job_id", "status", "model", "submitted_at", "attempts", "error")
        print_table(columns, ([view[name] for name in columns] for view in found))


@jobs_app.command("cancel")
def cancel_waiting(
    model: Annotated[str, typer.Option(help="The model, which need not be served any more.")],
    url: Url = None,
) -> None:
    """Cancel all jobs of a model that wait; those that run go on."""
    with open_client(url) as client, printed_warnings():
        typer.echo(f"{client.cancel_waiting(model)} jobs are cancelled.")
