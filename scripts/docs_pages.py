"""The pages of the documentation that have their source elsewhere: in the code, or at the top of the project.

mkdocs.yml names this file as a hook, so `uv run --group docs mkdocs build --strict` has them in the site, and
`mkdocs serve` shows them while the code is edited. Nothing is written to `docs/`.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.cli import get_docs_for_click

import inferq.queue.schema
from inferq.cli.app import app as command_line
from inferq.proxy.app import create_app
from inferq.settings import EARLIER_NAMES, Settings

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
_LOADED_FROM_OUTSIDE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?["'](?:https?:)?//[^"']*""")
_AT_THE_TOP = re.compile(r"\]\(\.\./((?:\.\./)*)(SPECIFICATION|CHANGELOG)\.md")
_METHODS = ("get", "post", "put", "delete")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Adds the pages to the site; MkDocs calls this."""
    from mkdocs.structure.files import File

    for name, text in make_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Turns links to files of the repository into links to pages of the site; MkDocs calls this."""
    markdown = _AT_THE_TOP.sub(lambda found: f"]({found[1]}{found[2].lower()}.md", markdown)
    return markdown.replace("](decisions/)", "](decisions/index.md)").replace("](docs/", "](")


def on_post_page(output: str, page: "Page", config: "MkDocsConfig") -> str:  # noqa: ARG001 - called by name
    """Makes sure that a page loads nothing from another host; MkDocs calls this."""
    from mkdocs.exceptions import PluginError

    if outside := _LOADED_FROM_OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from another host: {outside[0]}")
    return output


def make_pages() -> dict[str, str]:
    """Makes every page that has its source elsewhere.

    Returns:
        Path of the page, as if it were in `docs/`, to its text.
    """
    return {
        "reference/settings.md": describe_settings(),
        "reference/http-api.md": describe_http_api(create_app().openapi()),
        "reference/redis-keys.md": describe_redis_keys(),
        "reference/command-line.md": describe_command_line(),
        "decisions/index.md": list_decisions(),
        "specification.md": read_from_top("SPECIFICATION.md"),
        "changelog.md": read_from_top("CHANGELOG.md"),
    }


def read_from_top(name: str) -> str:
    """Reads a file beside `docs/`, with its links into that folder as they are on the site."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def describe_settings() -> str:
    """One table of all settings, from their docstrings."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if str(field.default) else "(empty)"
        rows.append(
            f"| `INFERQ_{name.upper()}` | {default} | {' '.join((field.description or '').split())} |"
        )
    return "\n".join(
        [
            "# Settings",
            "",
            "Every setting is an environment variable. Times are in seconds, sizes in bytes.",
            "An empty variable is one that is not set.",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Some had another name before, which still works where the new one is not set.",
            "",
            "| variable | earlier name |",
            "| --- | --- |",
            *(f"| `INFERQ_{name.upper()}` | `INFERQ_{old.upper()}` |" for name, old in EARLIER_NAMES.items()),
            "",
        ]
    )


def list_decisions() -> str:
    """All decision records by number, with their titles."""
    files = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    titles = [file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for file in files]
    entries = [f"- [{title}]({file.name})" for file, title in zip(files, titles, strict=True)]
    return "\n".join(
        ["# Decisions", "", "What cost thought: context, choice, and what it costs.", "", *entries, ""]
    )


def describe_redis_keys() -> str:
    """The data model in Redis, as the package that spells the keys documents it."""
    text = inspect.getdoc(inferq.queue.schema)
    return f"# Keys in Redis\n\n{text}\n"


def describe_command_line() -> str:
    """Every command with its arguments and options, from Typer."""
    group = typer.main.get_command(command_line)
    context = typer.Context(group, info_name="inferq")
    return get_docs_for_click(obj=group, ctx=context, name="inferq", title="Command line").strip() + "\n"


def describe_http_api(document: dict[str, Any]) -> str:
    """Every endpoint with its parameters, body and answers, then the shapes of the answers.

    Args:
        document: The OpenAPI document.
    """
    lines = [
        "# HTTP API",
        "",
        "Made from the OpenAPI document, which the proxy serves at `/openapi.json`, and at `/docs` as a page",
        "where requests can be tried. The rest of what is promised is in the",
        "[specification](../specification.md#http-api).",
        "",
    ]
    for tag in document["tags"]:
        lines += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        for path, operations in document["paths"].items():
            for method in _METHODS:
                if tag["name"] in operations.get(method, {}).get("tags", []):
                    lines += [f"### `{method.upper()} {path}`", "", *_describe(operations[method])]
    lines += ["## Shapes", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"### {name}", "", *_describe_shape(schema)]
    return "\n".join(lines).strip() + "\n"


def _describe(operation: dict[str, Any]) -> Iterator[str]:
    yield from (operation["description"], "")
    if parameters := operation.get("parameters"):
        yield from ("| parameter | in | type | meaning |", "| --- | --- | --- | --- |")
        for one in parameters:
            name = f"`{one['name']}`" + ("" if one.get("required") else " (optional)")
            meaning = one.get("description") or one["schema"].get("description", "")
            yield f"| {name} | {one['in']} | {_name_type(one['schema'])} | {_cell(meaning)} |"
        yield ""
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body, `{media_type}`:", "", *_describe_shape(body["schema"]))
    yield from ("| answer | body | meaning |", "| --- | --- | --- |")
    for status, answer in sorted(operation["responses"].items()):
        bodies = (_name_type(one["schema"]) for one in answer.get("content", {}).values() if "schema" in one)
        yield f"| {status} | {', '.join(bodies)} | {_cell(answer['description'])} |"
    yield ""


def _describe_shape(schema: dict[str, Any]) -> Iterator[str]:
    if description := schema.get("description"):
        yield from (" ".join(description.split()), "")
    if "enum" in schema:
        yield from (f"One of {_name_type(schema)}.", "")
    if members := schema.get("properties"):
        yield from ("| member | type | meaning |", "| --- | --- | --- |")
        for name, one in members.items():
            yield f"| `{name}` | {_name_type(one)} | {_cell(one.get('description', ''))} |"
        yield ""


def _name_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_name_type(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_name_type(schema.get('items', {}))}"
    extra = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(extra, dict):
        return f"object of {_name_type(extra)}"
    return str(schema.get("format") or schema.get("type") or "any JSON")


def _cell(text: str) -> str:
    # within backticks a bar does not end the cell
    return re.sub(r"(`[^`]*`)|\|", lambda match: match[1] or r"\|", " ".join(text.split()))
