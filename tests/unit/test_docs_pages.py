"""The pages of the site that are made from the code name all that the code has."""

import re

import pytest
import typer
from scripts import docs_pages

from inferq.cli.app import app
from inferq.proxy.app import create_app
from inferq.settings import EARLIER_NAMES, Settings


@pytest.fixture(scope="module")
def pages():
    return docs_pages.make_pages()


def test_settings_page_has_a_row_for_each_setting(pages):
    table, earlier = pages["reference/settings.md"].split("| variable | earlier name |")
    rows = re.findall(r"^\| `INFERQ_(\w+)` \|", table, re.MULTILINE)
    assert rows == [name.upper() for name in Settings.model_fields]
    assert len(re.findall(r"^\| `INFERQ_", earlier, re.MULTILINE)) == len(EARLIER_NAMES)


def test_http_page_has_a_section_for_each_endpoint_and_each_shape(pages):
    document = create_app().openapi()
    text = pages["reference/http-api.md"]
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"\n### `{method.upper()} {path}`\n" in text
    for name in document["components"]["schemas"]:
        assert f"\n### {name}\n" in text


def test_every_link_to_a_shape_leads_to_its_section(pages):
    text = pages["reference/http-api.md"]
    sections = {name.lower() for name in re.findall(r"^### (\w+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(#(\w+)\)", text))
    assert links
    assert links <= sections


def test_command_line_page_has_a_section_for_each_command(pages):
    def names(command, path):
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from names(child, f"{path} {name}")

    for path in list(names(typer.main.get_command(app), "inferq"))[1:]:
        assert re.search(rf"^#+ `{path}`$", pages["reference/command-line.md"], re.MULTILINE), path


def test_keys_page_shows_the_table_of_the_schema(pages):
    assert "| `job:{id}:data` | string |" in pages["reference/redis-keys.md"]


def test_decisions_page_links_to_every_decision(pages):
    files = sorted(file.name for file in (docs_pages.ROOT / "docs/decisions").glob("*.md"))
    assert re.findall(r"\]\((.*?)\)", pages["decisions/index.md"]) == files


def test_links_of_the_specification_into_the_documents_lead_to_their_pages(pages):
    targets = re.findall(r"\]\(([\w/.-]+\.md)\)", pages["specification.md"])
    assert "operations/metrics.md" in targets
    assert all((docs_pages.ROOT / "docs" / target).exists() for target in targets)


def test_bar_in_a_cell_is_escaped_outside_of_backticks_only():
    assert docs_pages._cell("a | b `c | d`\n e") == "a \\| b `c | d` e"


def test_links_of_the_specification_to_the_documentation_stay_within_the_site():
    assert docs_pages.on_page_markdown("[a](docs/operations/doctor.md)") == "[a](operations/doctor.md)"
