"""The command `inferq`."""

import errno
import os
import sys
from typing import Annotated

import typer

from inferq.cli import (
    bulk_commands,
    dead_letters,
    job_commands,
    model_commands,
    program_commands,
    service_commands,
)
from inferq.cli.api_key import key
from inferq.cli.doctor import doctor
from inferq.cli.output import choose_exit_code, print_line
from inferq.cli.predict import predict
from inferq.cli.result import result
from inferq.errors import InferqError
from inferq.terminal import use_terminal

app = typer.Typer(
    help="Any ONNX model as an asynchronous inference service.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.command()(predict)
app.command()(result)
app.add_typer(job_commands.job_app, name="job")
app.add_typer(job_commands.jobs_app, name="jobs")
for bulk_command in (bulk_commands.errors, bulk_commands.retry, bulk_commands.delete):
    job_commands.jobs_app.command()(bulk_command)
app.command()(service_commands.queue)
app.add_typer(model_commands.app, name="models")
app.add_typer(dead_letters.app, name="dead")
app.command()(doctor)
for command in (program_commands.up, program_commands.proxy, program_commands.worker, key):
    app.command()(command)


def main() -> None:
    """Runs the command line; errors of inferq's own are a sentence and an exit code."""
    use_terminal()
    try:
        app()
    except InferqError as error:
        print_line(f"inferq: {error.message}", err=True)
        sys.exit(choose_exit_code(error))
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        print_line(f"inferq: the output cannot be written: {error.strerror}.", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "inferq":
            raise
        sys.exit(
            f"inferq: this command needs the package {error.name.split('.')[0]!r}, which is not installed. "
            "Install inferq with the extra that has it: inferq[proxy], inferq[worker], or inferq[all]."
        )


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"inferq {version('inferq')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Any ONNX model as an asynchronous inference service."""
