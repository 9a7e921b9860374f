"""The command `inferq`."""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from inferq.cli import dead_letters, jobs
from inferq.cli.output import exit_code, say
from inferq.cli.predict import predict
from inferq.errors import InferqError, InvalidInputError, InvalidSettingError
from inferq.terminal import use_terminal

app = typer.Typer(
    help="Any ONNX model as an asynchronous inference service.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.command()(predict)
app.add_typer(jobs.job_app, name="job")
app.add_typer(jobs.jobs_app, name="jobs")
for command in (jobs.queue, jobs.models):
    app.command()(command)
app.add_typer(dead_letters.app, name="dead")

Host = Annotated[str, typer.Option(help="Address that the proxy listens on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port that the proxy listens on.")]
RedisUrl = Annotated[
    str | None,
    typer.Option(help="Use this Redis or Valkey server.", envvar="INFERQ_REDIS_URL", show_envvar=True),
]
Models = Annotated[
    Path | None,
    typer.Argument(
        metavar="PATH",
        help="A folder of models, the folder of one model, or a .onnx file; INFERQ_MODELS_DIR if left out. "
        "One model alone is the default model.",
        show_default=False,
    ),
]
ModelsOption = Annotated[Path | None, typer.Option("--models", help="The same as PATH.", metavar="PATH")]


def main() -> None:
    """Runs the command line; errors of inferq's own are one line and an exit code."""
    use_terminal()
    try:
        app()
    except InferqError as error:
        say(f"inferq: {error.message}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        say(f"inferq: the output cannot be written: {error.strerror}.", err=True)
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


@app.command()
def up(
    path: Models = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 2,
    proxies: Annotated[int, typer.Option(min=1, help="Number of proxy processes.")] = 1,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    redis_url: RedisUrl = None,
    models: ModelsOption = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the embedded server keeps its data.", envvar="INFERQ_DATA_DIR"),
    ] = None,
) -> None:
    """Start everything on this machine: an embedded Valkey server, the proxy and the workers."""
    from inferq.local.up import up as run
    from inferq.settings import load_settings

    if path and models:
        raise InvalidSettingError("Name the models once: either as PATH or with --models.")
    chosen = {"redis_url": redis_url, "models_dir": path or models, "data_dir": data_dir}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    run(settings, host=host, port=port, workers=workers, proxies=proxies, embedded=redis_url is None)


@app.command()
def proxy(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    share_port: Annotated[
        bool, typer.Option("--share-port", help="Let other proxies with this option listen there too.")
    ] = False,
) -> None:
    """Run one proxy alone; its settings come from the environment."""
    from inferq.processes import end_with_parent
    from inferq.proxy.server import main as serve
    from inferq.settings import load_settings

    end_with_parent()
    serve(host, port, load_settings(), shares_port=share_port)


@app.command()
def worker() -> None:
    """Run one worker alone; its settings come from the environment."""
    from inferq.worker.main import main as work

    work()


@app.command()
def key(name: Annotated[str, typer.Argument(help="Whose key it is; jobs belong to the name.")]) -> None:
    """Make an API key: the key itself, and what INFERQ_API_KEYS must have for it."""
    import hashlib
    import re
    import secrets

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise InvalidInputError(
            f"{name!r} is no name for a key. Expected up to 64 letters, digits, dots, underscores and "
            "hyphens, a letter or digit first."
        )
    secret = f"iq_{secrets.token_urlsafe(32)}"
    typer.echo(f"Key, shown only here: {secret}")
    typer.echo(f"For INFERQ_API_KEYS:  {name}:{hashlib.sha256(secret.encode()).hexdigest()}")
