import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from inferq.errors import FailureKind
from inferq.proxy.app import create_app
from inferq.proxy.http.problem_types import TYPES
from inferq.queue import schema
from inferq.settings import EARLIER_NAMES, Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "README.ja.md", "SPECIFICATION.md", "CHANGELOG.md", "CONTRIBUTING.md"]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def anchors(text):
    """The fragments by which the headings of a document are linked to, on GitHub and on the site alike."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", [*DOCUMENTS, *PAGES])
def test_every_relative_link_leads_somewhere_in_the_repository(name):
    for target, fragment in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", read(name)):
        file = ((ROOT / name).parent / target).resolve() if target else (ROOT / name).resolve()
        assert file.exists(), target
        if fragment and file.suffix == ".md" and file.name != "python-api.md":
            assert fragment in anchors(file.read_text(encoding="utf-8")), fragment


def test_site_shows_boxes_where_pages_have_lists_of_tasks():
    assert any("- [ ]" in read(page) for page in PAGES)
    assert "  - pymdownx.tasklist\n" in read("mkdocs.yml")


def test_readme_names_every_address_of_the_own_api():
    paths = {path.replace("{upload_id}", "{id}") for path in create_app().openapi()["paths"]}
    named = read("README.md")
    assert {path for path in paths if not path.startswith("/v2") and path not in named} == set()


def test_specification_has_short_lines_but_for_tables_and_code():
    text = re.sub(r"```.*?```", "", read("SPECIFICATION.md"), flags=re.DOTALL)
    assert [
        line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "    "))
    ] == []


def test_contents_of_the_specification_list_every_section():
    text = read("SPECIFICATION.md")
    contents = re.search(r"^## Contents\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)[1]
    listed = re.findall(r"\[([^\]]+)\]\(#", contents)
    headings = re.findall(r"^###? (.+)$", text, re.MULTILINE)
    assert listed == headings[headings.index("HTTP API") :]


def test_both_readmes_show_the_same_commands_and_answers():
    for language in ("sh", "json", "toml", "python"):
        assert code_blocks(read("README.md"), language) == code_blocks(read("README.ja.md"), language)


def outline(text):
    """Of each section the number of its table rows, and whatever stands in backticks outside of blocks."""
    sections = re.split(r"^## ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return [
        (len(re.findall(r"^\|", one, re.MULTILINE)), set(re.findall(r"`([^`]+)`", one))) for one in sections
    ]


def test_both_readmes_have_the_same_sections_tables_and_names():
    assert outline(read("README.ja.md")) == outline(read("README.md"))


def test_json_in_the_readme_is_json():
    blocks = code_blocks(read("README.md"), "json")
    assert len(blocks) == 3
    for block in blocks:
        json.loads(block)


def test_specification_lists_every_setting_with_its_default():
    text = read("SPECIFICATION.md")
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default != "" else "(empty)"
        assert f"| `INFERQ_{name.upper()}` | {default} | {' '.join(field.description.split())} |" in text


def test_specification_lists_every_earlier_name_of_a_setting():
    text = read("SPECIFICATION.md")
    rows = [
        f"| `INFERQ_{name.upper()}` | `INFERQ_{earlier.upper()}` |" for name, earlier in EARLIER_NAMES.items()
    ]
    assert "\n".join(rows) in text


def test_compose_passes_every_setting_that_proxy_or_worker_may_have():
    settings, services = read("docker-compose.yml").split("\nservices:\n")
    fixed = ["INFERQ_REDIS_URL", "INFERQ_SHUTDOWN_SECONDS"]
    # the folder of the models is mounted where the image expects it; the others are not of these programs
    left_out = {"models_dir", "data_dir", "url", "api_key"}
    assert re.findall(r"^  (INFERQ_\w+): ", settings, re.MULTILINE) == fixed
    assert re.findall(r"^      (INFERQ_\w+):$", services, re.MULTILINE) == ["INFERQ_API_KEYS"]
    passed = re.findall(r"^  (INFERQ_\w+):$", settings, re.MULTILINE)
    names = (Settings.model_fields.keys() - left_out) | set(EARLIER_NAMES.values())
    expected = {f"INFERQ_{name.upper()}" for name in names}
    assert sorted([*fixed, "INFERQ_API_KEYS", *passed]) == sorted(expected)


def test_specification_lists_every_key_that_the_schema_does():
    def keys(text):
        """The first keys of each row; others in it are variants, such as those of a priority."""
        rows = re.findall(
            r"^\| `([^`]*)`(?:, `(\w[^`]*)`)?", text.partition("| key | type |")[2], re.MULTILINE
        )
        return {re.sub(r":(…|\{priority\}|high)$", "", key) for row in rows for key in row if key}

    section = re.search(r"^### Keys$.*?^### ", read("SPECIFICATION.md"), re.DOTALL | re.MULTILINE)[0]
    assert keys(section) == keys(schema.__doc__)


def test_specification_names_a_script_for_each_transition():
    section = re.search(r"^## States$.*?^Staged ", read("SPECIFICATION.md"), re.DOTALL | re.MULTILINE)[0]
    scripts = re.findall(r"^\| [^|]* \| [^|]* \| `(\w+)`", section, re.MULTILINE)
    assert len(scripts) > 10
    for name in scripts:
        assert (ROOT / f"src/inferq/queue/lua/{name}.lua").exists(), name


def test_specification_lists_every_problem_and_every_failure():
    text = read("SPECIFICATION.md")
    for kind, shape in TYPES.items():
        assert f"| `{kind}` | {shape.status}" in text
    kinds = text.partition("### Kinds of error")[2].partition("### ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", kinds, re.MULTILINE)) == set(FailureKind)


def test_page_about_logs_lists_every_event_that_is_logged():
    events = {
        argument.value
        for path in (ROOT / "src/inferq").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and re.fullmatch(r"log\.[a-z]+", ast.unparse(call.func))
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    assert len(events) > 30
    listed = read("docs/operations/logs.md").partition("## Events")[2]
    assert sorted(event for event in events if f"`{event}`" not in listed) == []


def test_extra_for_gpus_has_what_workers_need():
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    both = [[one for one in extras[name] if not one.startswith("onnxruntime")] for name in ("worker", "gpu")]
    assert both[0] == both[1]


def test_readmes_test_command_is_what_ci_runs():
    assert "uv run pytest\n" in read("README.md")
    assert re.search(r"^uv run pytest\b", read(".ci/run"), re.MULTILINE)


def test_glossary_has_a_line_for_each_term_and_no_term_twice():
    terms = re.findall(r"^\| ([^|]+) \|", read("docs/glossary.md"), re.MULTILINE)
    terms = [term for term in terms if term not in ("term", "---")]
    assert len(terms) == len(set(terms)) > 60


@pytest.mark.parametrize("name", ["README.md", "README.ja.md", "CHANGELOG.md", *PAGES])
def test_every_setting_that_a_document_names_exists(name):
    names = {f"INFERQ_{field.upper()}" for field in Settings.model_fields} | {"INFERQ_PORT"}  # Compose's own
    assert set(re.findall(r"\bINFERQ_[A-Z_]+[A-Z]\b", read(name))) <= names
