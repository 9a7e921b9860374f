"""The commands `inferq models`: what the service serves, and whether a model can be served."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from inferq.cli.model_check import check
from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_table
from inferq.cli.shadow_report import shadow
from inferq.cli.version_commands import promote, reload, rollback, rollout, show
from inferq.errors import UnexpectedAnswerError, UnknownModelError

if TYPE_CHECKING:
    from inferq.client import Client


class _ListByDefault(TyperGroup):
    """Takes what names no command for arguments of `list`: `inferq models`, `inferq models iris`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer does not export it
        if "--help" not in args[:1] and (not args or args[0] not in self.commands):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ListByDefault, help="The models that are served, and those that could be.")


def list_models(
    name: Annotated[str | None, typer.Argument(help="Only this model, whole.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the models, or describe one."""
    with open_client(url) as client:
        documents = [client.model(name)] if name else list(_read_documents(client))
    if as_json or name:
        for document in documents:
            print_json(document, indent=None if as_json else 2)
        return
    rows = (
        (
            one["name"],
            _describe_versions(one),
            _describe_tensors(one["inputs"]),
            _describe_tensors(one["outputs"]),
            one["description"],
        )
        for one in documents
    )
    print_table(("model", "version", "inputs", "outputs", "description"), rows)


def _read_documents(client: "Client") -> Iterator[dict[str, Any]]:
    """Reads the models one by one; those that cannot be read do not hide the others."""
    for name in client.models():
        try:
            yield client.model(name)
        except (UnknownModelError, UnexpectedAnswerError) as error:
            print_line(f"inferq: {name}: {error.message}", err=True)


def _describe_versions(document: dict[str, Any]) -> str:
    """Returns the version that serves, and in brackets the others."""
    others = ", ".join(version for version in document["versions"] if version != document["version"])
    return f"{document['version']} ({others})" if others else str(document["version"])


def _describe_tensors(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['datatype']}{one['shape']}" for one in tensors)


app.command("list")(list_models)
for command in (show, check, reload, promote, rollback, rollout, shadow):
    app.command()(command)
