"""Commands that look at jobs, models and the queue."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from inferq.cli.output import AsJson, Url, print_json, print_table, say, service
from inferq.cli.predict import print_result
from inferq.cli.waiting import result_of
from inferq.errors import UnexpectedAnswerError, UnknownModelError
from inferq.jobs import Status

if TYPE_CHECKING:
    from inferq.client import Client

job_app = typer.Typer(help="One job: show, wait, watch, cancel, retry.", no_args_is_help=True)

jobs_app = typer.Typer(invoke_without_command=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="What submitting the job printed.")]


@job_app.command()
def show(job_id: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Show a job with all its attempts."""
    with service(url) as client:
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
    with service(url) as client:
        result = result_of(client, client.job(job_id), timeout)
    print_json(result) if as_json else print_result(result)


@job_app.command()
def watch(job_id: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Print each change of a job until it has ended."""
    with service(url) as client:
        for job in client.job(job_id).watch():
            if as_json:
                print_json(job.view)
            else:
                place = f", number {job.queue_position} in line" if job.queue_position else ""
                say(f"{job.status}{place}{f': {job.error}' if job.error else ''}")
    if job.status == Status.FAILED:
        raise typer.Exit(1)


@job_app.command()
def cancel(job_id: JobId, url: Url = None) -> None:
    """Cancel a job: a waiting one never runs, a running one is stopped."""
    with service(url) as client:
        say(f"{client.job(job_id).cancel().id} is cancelled.")


@job_app.command()
def retry(job_id: JobId, url: Url = None) -> None:
    """Put a failed job in line again."""
    with service(url) as client:
        say(f"{client.job(job_id).retry().id} is in line again.")


@jobs_app.callback()
def jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List jobs, the latest first; or cancel those of a model that wait."""
    if context.invoked_subcommand is not None:
        return
    with service(url) as client:
        found = [
            job.view
            for _, job in zip(
                range(limit),
                client.jobs(status=status and status.value, model=model, page_size=min(limit, 500)),
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
    with service(url) as client:
        typer.echo(f"{client.cancel_waiting(model)} jobs are cancelled.")


def models(
    name: Annotated[str | None, typer.Argument(help="Only this model, whole.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the models, or describe one."""
    with service(url) as client:
        documents = [client.model(name)] if name else list(_documents(client))
    if as_json or name:
        for document in documents:
            print_json(document, indent=None if as_json else 2)
        return
    rows = (
        (one["name"], one["version"], _tensors(one["inputs"]), _tensors(one["outputs"]), one["description"])
        for one in documents
    )
    print_table(("model", "version", "inputs", "outputs", "description"), rows)


def _documents(client: "Client") -> Iterator[dict[str, Any]]:
    """Reads the models one by one; those that cannot be read do not hide the others."""
    for name in client.models():
        try:
            yield client.model(name)
        except (UnknownModelError, UnexpectedAnswerError) as error:
            say(f"inferq: {name}: {error.message}", err=True)


def _tensors(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['datatype']}{one['shape']}" for one in tensors)


def queue(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Between two looks.")] = 1.0,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what waits and runs, by model."""
    with service(url) as client:
        while True:
            overview = client.queue()
            if as_json:
                print_json(overview)
            else:
                if watch:
                    Console().clear()
                _print_overview(overview)
            if not watch:
                return
            time.sleep(seconds)


def _print_overview(overview: dict[str, Any]) -> None:
    columns = (
        "model",
        "high",
        "normal",
        "low",
        "running",
        "retrying",
        "failed",
        "oldest s",
        "jobs/s",
        "workers",
    )
    rows = [
        (
            name,
            *(one["waiting"][priority] for priority in ("high", "normal", "low")),
            *(one[part] for part in ("running", "retrying", "failed")),
            "" if one["oldest_wait_seconds"] is None else f"{one['oldest_wait_seconds']:.1f}",
            f"{one['jobs_per_second']:.1f}",
            one["workers"],
        )
        for name, one in overview["models"].items()
    ]
    print_table(columns, rows)
    held, most = overview.get("queued_bytes"), overview.get("max_queued_bytes")
    if held is not None:
        limit = f", of at most {most / 1e6:.0f} MB" if most else ""
        typer.echo(f"Data of jobs that have not ended: {held / 1e6:.1f} MB{limit}")
