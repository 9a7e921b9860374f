import json
import re
from pathlib import Path

import pytest

from inferq.errors import ErrorKind
from inferq.proxy.http.problem_types import TYPES
from inferq.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "README.ja.md", "SPECIFICATION.md", "CHANGELOG.md", "CONTRIBUTING.md"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(name)):
        assert (ROOT / target).exists(), target


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


def test_compose_passes_every_setting_that_proxy_or_worker_may_have():
    settings, services = read("docker-compose.yml").split("\nservices:\n")
    fixed = ["INFERQ_REDIS_URL", "INFERQ_SHUTDOWN_SECONDS"]
    # the folder of the models is mounted where the image expects it; the others are not of these programs
    left_out = {"models_dir", "data_dir", "url", "api_key"}
    assert re.findall(r"^  (INFERQ_\w+): ", settings, re.MULTILINE) == fixed
    assert re.findall(r"^      (INFERQ_\w+):$", services, re.MULTILINE) == ["INFERQ_API_KEYS"]
    passed = re.findall(r"^  (INFERQ_\w+):$", settings, re.MULTILINE)
    expected = {f"INFERQ_{name.upper()}" for name in Settings.model_fields.keys() - left_out}
    assert sorted([*fixed, "INFERQ_API_KEYS", *passed]) == sorted(expected)


def test_specification_lists_every_problem_and_every_failure():
    text = read("SPECIFICATION.md")
    for kind, shape in TYPES.items():
        assert f"| `{kind}` | {shape.status}" in text
    for kind in (ErrorKind.MODEL_ERROR, ErrorKind.TIMED_OUT, ErrorKind.CRASHED, ErrorKind.CANCELLED):
        assert f"| `{kind}` |" in text


def test_readmes_test_command_is_what_ci_runs():
    assert "uv run pytest\n" in read("README.md")
    assert "\nuv run pytest\n" in read(".ci/run")
