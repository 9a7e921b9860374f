"""The command `inferq key`."""

from typing import Annotated

import typer

from inferq.errors import InvalidInputError


def key(name: Annotated[str, typer.Argument(help="Whose key it is; jobs belong to the name.")]) -> None:
    """Make an API key: the key itself, and what INFERQ_API_KEYS must have for it."""
    import hashlib
    import re
    import secrets

    from inferq.model_names import NAME

    if not re.fullmatch(NAME, name):
        raise InvalidInputError(
            f"{name!r} is no name for a key. Expected up to 64 letters, digits, dots, underscores and "
            "hyphens, a letter or digit first."
        )
    secret = f"iq_{secrets.token_urlsafe(32)}"
    typer.echo(f"Key, shown only here: {secret}")
    typer.echo(f"For INFERQ_API_KEYS:  {name}:{hashlib.sha256(secret.encode()).hexdigest()}")
