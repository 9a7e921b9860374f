"""The command `inferq doctor`."""

from dataclasses import asdict
from typing import Annotated

import typer

from inferq.cli.output import Url, print_json, print_table

RedisUrl = Annotated[
    str | None, typer.Option(help="The Redis or Valkey server.", envvar="INFERQ_REDIS_URL", show_envvar=True)
]
_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for programs, one finding a line.")] = False,
    redis_url: RedisUrl = None,
    url: Url = None,
) -> None:
    """Check the installation: what is wrong, and what to do.

    Exit codes: 0 no errors, 1 errors, or warnings with --strict, 2 the command was not understood, 5 Redis is
    out of reach.
    """
    from inferq.doctor.diagnosis import REACHED, diagnose
    from inferq.doctor.finding import Level
    from inferq.observability.logs import configure_logging
    from inferq.settings import Settings

    configure_logging(Settings.model_construct(log_level="error"))  # its findings say what the log would
    chosen = {"redis_url": redis_url, "url": url}
    found = list(diagnose(**{name: value for name, value in chosen.items() if value is not None}))
    if as_json:
        for one in found:
            print_json(asdict(one))
    else:
        rows = ((one.level, one.check, f"{one.message} {one.remedy}".strip()) for one in found)
        print_table(("level", "check", "what was found, and what to do"), rows, _COLOURS)
    levels = {one.level for one in found}
    if Level.ERROR in levels or (strict and Level.WARNING in levels):
        is_away = any(one.check == REACHED and one.level is Level.ERROR for one in found)
        raise typer.Exit(5 if is_away else 1)
