"""docs/architecture.md names files and functions that exist, and rooms that import as it says."""

import ast
import re
from graphlib import TopologicalSorter

import pytest

from tests.unit.test_documents import ROOT, read

SOURCE = ROOT / "src/inferq"
PAGE = read("docs/architecture.md")
REFERENCES = sorted(set(re.findall(r"`([\w/]+\.(?:py|lua)|[\w/]+/)(?:: ([\w.]+))?`", PAGE)))
ROOMS = {
    room: re.findall(r"`(\w+)(?:/|\.py)`", allowed)
    for room, allowed in re.findall(r"^\| `(\w+)(?:/|\.py)` \| [^|]* \| ([^|]*)\|$", PAGE, re.MULTILINE)
}
SHARED = {
    "errors",
    "jobs",
    "model_names",
    "number_format",
    "object_urls",
    "provenance",
    "rollout",
    "settings",
    "processes",
    "terminal",
}


def defined_in(body, prefix=""):
    """Names of classes, functions and methods, a method as `Class.method`."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from defined_in(node.body, f"{node.name}.")


@pytest.mark.parametrize(("path", "name"), REFERENCES)
def test_file_and_function_that_the_page_names_exist(path, name):
    assert (SOURCE / path).exists()
    if name:
        assert name in defined_in(ast.parse((SOURCE / path).read_text(encoding="utf-8")).body)


def test_every_room_is_on_the_page():
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} <= ROOMS.keys()


def test_imports_go_down_the_list_of_rooms():
    order = list(ROOMS)
    for room, allowed in ROOMS.items():
        assert all(order.index(other) > order.index(room) for other in allowed), room


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_the_page_allows(room):
    assert set(imports_of(room)) <= {room, *ROOMS[room], *SHARED}


def test_no_modules_import_each_other_in_a_circle():
    modules = {name_module(path): path for path in SOURCE.rglob("*.py")}
    imports = {
        name: {found for found in read_imports(path) if found in modules} - {name}
        for name, path in modules.items()
    }
    TopologicalSorter(imports).prepare()  # raises CycleError, which names them


def name_module(path):
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def read_imports(path):
    """Modules that a file imports, also for types alone, and all names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from parts
            if node.module not in {part.rpartition(".")[0] for part in parts if is_module(part)}:
                yield node.module or ""


def is_module(name):
    path = SOURCE.parent / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


def imports_of(room):
    """The rooms and modules of inferq that the files of a room import."""
    for path in [*(SOURCE / room).rglob("*.py"), *SOURCE.glob(f"{room}.py")]:
        yield from (found.split(".")[1] for found in read_imports(path) if found.startswith("inferq."))
