"""Words that others of docs/glossary.md have replaced stand in no name, comment or document."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.unit.test_documents import DOCUMENTS, PAGES, ROOT, read

# in whatever is written for people: comments, docstrings, messages, documents
PROSE = {
    "company": "other jobs in the batch",
    "corking": "write coalescing",
    "courier": "sender",
    "gives? back": "requeue",
    "given back": "requeued",
    "in line": "queued",
    "lean": "fast",
    "owed": "in doubt",
    "puts? back": "requeue",
    "revived?": "retry",
    "somebody": "a client, a worker …",
    "spoilt": "corrupt",
    "takes? back": "reclaim",
    "trial": "batch probe",
    "whoever": "what it is",
}
# in names, split at underscores and capitals
NAMES = {
    "card": "config",
    "company": "batch",
    "cork": "coalesce",
    "corked": "coalesced",
    "corking": "write coalescing",
    "courier": "sender",
    "exchange": "prefetch",
    "lean": "fast",
    "link": "connection, script runner",
    "look": "read, reconcile, scan budget, cursor",
    "looks": "reads",
    "notices": "subscriber, events",
    "odd": "corrupt",
    "owed": "in doubt",
    "pay": "requeue",
    "place": "position, cursor, index",
    "places": "positions",
    "prompt": "fast",
    "revive": "retry",
    "revived": "retried",
    "spoilt": "corrupt",
    "trial": "batch probe",
    "turns": "priorities",
}
# plain English, or another library's; links of documents and folders
EXCEPTIONS = re.compile(r"looks_like|look_up|in_place|relative_link|link_(to|into|that)_")
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted((ROOT / "src").rglob("*.lua"))


def named(path):
    return str(path.relative_to(ROOT))


def words_of(name):
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def names_in(source):
    """Every name that a module gives or uses as its own: not the attributes of what other libraries made."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def prose_in(source):
    """Comments and texts of a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, tokenize.FSTRING_MIDDLE):
            yield token.string


def find_prose(text):
    flat = " ".join(re.sub(r"\n *(#|--)?", " ", text).split())
    return [
        f"{match[0]!r} is: {instead} (… {flat[max(0, match.start() - 30) : match.end() + 30]} …)"
        for word, instead in PROSE.items()
        for match in re.finditer(rf"\b{word}\b", flat, re.IGNORECASE)
    ]


def find_names(names):
    return sorted(
        f"{name}: {word} is: {NAMES[word]}"
        for name in set(names)
        for word in words_of(EXCEPTIONS.sub("", name))
        if word in NAMES
    )


def check_module(path):
    source = path.read_text(encoding="utf-8")
    names = [*names_in(source), *path.relative_to(ROOT).with_suffix("").parts]
    assert find_names(names) == [], path
    assert find_prose("\n".join(prose_in(source))) == [], path


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_module_uses_the_words_of_the_glossary(path):
    check_module(path)


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "scripts"])
def test_folder_beside_the_package_uses_the_words_of_the_glossary(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path != Path(__file__):  # it names the words
            check_module(path)


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_script_uses_the_words_of_the_glossary(path):
    source = path.read_text(encoding="utf-8")
    comments = re.findall(r"--(.*)", source)
    code = re.sub(r"--.*", "", source)
    assert find_names([*re.findall(r"[A-Za-z_]\w*", code), path.stem]) == []
    assert find_prose("\n".join(comments)) == []


@pytest.mark.parametrize("name", [*DOCUMENTS, *PAGES])
def test_document_uses_the_words_of_the_glossary(name):
    assert find_prose(re.sub(r"```.*?```", "", read(name), flags=re.DOTALL)) == []
