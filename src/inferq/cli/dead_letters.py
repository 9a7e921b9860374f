"""The commands `inferq dead`: list failed jobs, try them again, or delete them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.cli.output import print_json, print_line, print_table
from inferq.errors import InferqError, InvalidInputError, JobNotFoundError
from inferq.jobs import Job, Status

if TYPE_CHECKING:
    from inferq.queue import AnyProducer

app = typer.Typer(help="Failed jobs: list them, try them again, or drop them.", no_args_is_help=True)

_PAGE = 500
_LONGEST_ERROR = 100

RedisUrl = Annotated[
    str | None, typer.Option(help="The Redis or Valkey server.", envvar="INFERQ_REDIS_URL", show_envvar=True)
]
Model = Annotated[str | None, typer.Option(help="Only jobs of this model.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs, one job a line.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Ids of the jobs.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All failed jobs, instead of ids.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_failed(
    model: Model = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs.")] = 50,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
) -> None:
    """List failed jobs, the latest first."""
    _run(_list(redis_url, model, limit, as_json=as_json))


@app.command()
def show(job_id: Annotated[str, typer.Argument(metavar="ID")], redis_url: RedisUrl = None) -> None:
    """Show a job with all its attempts, as JSON."""
    _run(_show(redis_url, job_id))


@app.command()
def retry(
    ids: Ids = None, every: All = False, model: Model = None, yes: Yes = False, redis_url: RedisUrl = None
) -> None:
    """Try failed jobs again, each under its id."""
    selection = _Selection(ids or [], every, model, yes)
    _run(_act(redis_url, selection, "retry", lambda producer, job_id: producer.retry(job_id)))


@app.command()
def drop(
    ids: Ids = None, every: All = False, model: Model = None, yes: Yes = False, redis_url: RedisUrl = None
) -> None:
    """Delete failed jobs at once, with their data."""
    selection = _Selection(ids or [], every, model, yes)
    _run(_act(redis_url, selection, "drop", lambda producer, job_id: producer.delete(job_id)))


def _run(work: Coroutine[Any, Any, int]) -> None:
    code = asyncio.run(work)
    if code:
        raise typer.Exit(code)


@asynccontextmanager
async def _open_producer(redis_url: str | None) -> AsyncIterator["AnyProducer"]:
    from inferq.observability.logs import configure_logging
    from inferq.queue import open_producer
    from inferq.settings import load_settings

    settings = load_settings(**({} if redis_url is None else {"redis_url": redis_url}))
    configure_logging(settings.model_copy(update={"log_level": "error"}))  # what goes wrong is said once
    producer = open_producer(settings)
    try:
        yield producer
        for fault in producer.shard_faults:
            print_line(f"inferq: {fault} What is in this shard is missing here.", err=True)
    finally:
        await producer.close()


async def _read_failed(producer: "AnyProducer", model: str | None) -> AsyncIterator[Job]:
    """Yields all failed jobs that can still be read, the latest first."""
    models = [model] if model else list(await producer.read_models())
    listing, position = producer.listing, None
    while True:
        page = await listing.read_page(models, status=Status.FAILED, after=position, limit=_PAGE)
        for job in page.jobs:
            yield job
        position = page.last
        if position is None:
            return


async def _list(redis_url: str | None, model: str | None, limit: int, *, as_json: bool) -> int:
    from inferq.job_json import write_job_json

    jobs: list[Job] = []
    async with _open_producer(redis_url) as producer:
        async for job in _read_failed(producer, model):
            jobs.append(job)
            if len(jobs) == limit:
                break
    if as_json:
        for job in jobs:
            print_json(json.loads(write_job_json(job)))
    elif jobs:
        _print_jobs(jobs)
    else:
        print_line("No job has failed.")
    return 0


def _print_jobs(jobs: Sequence[Job]) -> None:
    from inferq.job_json import format_time

    rows = []
    for job in jobs:
        error = job.error or ""
        shortened = error if len(error) <= _LONGEST_ERROR else f"{error[: _LONGEST_ERROR - 1]}…"
        rows.append(
            (job.id, job.model, job.error_kind, job.attempts, format_time(job.finished_at), shortened),
        )
    print_table(("job", "model", "kind", "attempts", "failed at", "error"), rows)


async def _show(redis_url: str | None, job_id: str) -> int:
    from inferq.job_json import write_job_json

    async with _open_producer(redis_url) as producer:
        job = await producer.read(job_id)
    print_json(json.loads(write_job_json(job)), indent=2)
    return 0


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which jobs a command is for: named ones, or all failed ones, perhaps of one model."""

    ids: Sequence[str]
    every: bool
    model: str | None
    is_confirmed: bool

    def check(self, verb: str) -> None:
        if self.every == bool(self.ids):
            raise InvalidInputError(f"Name the jobs to {verb}, or say --all.")
        if self.model and not self.every:
            raise InvalidInputError("--model goes with --all.")


async def _act(
    redis_url: str | None,
    selection: _Selection,
    verb: str,
    action: "Callable[[AnyProducer, str], Awaitable[None]]",
) -> int:
    """Does something with each job. The jobs for which it fails are named on standard error.

    Returns:
        The exit code.
    """
    selection.check(verb)
    ids = selection.ids
    async with _open_producer(redis_url) as producer:
        if selection.every:
            ids = [job.id async for job in _read_failed(producer, selection.model)]
            _confirm(len(ids), verb, yes=selection.is_confirmed)
        done = 0
        for job_id in ids:
            try:
                await _check_failed(producer, job_id)
                await action(producer, job_id)
                done += 1
            except JobNotFoundError as error:
                print_line(f"inferq: {error.message}", err=True)
            except InferqError as error:
                print_line(f"inferq: {job_id}: {error.message}", err=True)
        is_complete = done == len(ids) and not (selection.every and producer.away_shards)
    print_line(f"{done} of {len(ids)} jobs: {verb} done.")
    return 0 if is_complete else 1


async def _check_failed(producer: "AnyProducer", job_id: str) -> None:
    status = (await producer.read(job_id)).status
    if status is not Status.FAILED:
        raise InvalidInputError(f"The job is {status}; these commands are for failed jobs.")


def _confirm(count: int, verb: str, *, yes: bool) -> None:
    if yes or not count:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"{count} jobs would be concerned. Say --yes, since nobody can be asked here."
        )
    typer.confirm(f"{verb.capitalize()} {count} failed jobs?", abort=True)
