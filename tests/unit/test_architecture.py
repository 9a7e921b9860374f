"""docs/architecture.md names files and functions that exist, and rooms that import as it says."""

import ast
import re

import pytest

from tests.unit.test_documents import ROOT, read

SOURCE = ROOT / "src/inferq"
PAGE = read("docs/architecture.md")
REFERENCES = sorted(set(re.findall(r"`([\w/]+\.(?:py|lua)|[\w/]+/)(?:: ([\w.]+))?`", PAGE)))
ROOMS = {
    room: re.findall(r"`(\w+)(?:/|\.py)`", allowed)
    for room, allowed in re.findall(r"^\| `(\w+)(?:/|\.py)` \| [^|]* \| ([^|]*)\|$", PAGE, re.MULTILINE)
}
SHARED = {"errors", "jobs", "settings", "processes", "terminal"}


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


def imports_of(room):
    """The rooms and modules of inferq that the files of a room import."""
    for path in [*(SOURCE / room).rglob("*.py"), *SOURCE.glob(f"{room}.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules.append(node.module or "")
            for module in modules:
                if module.startswith("inferq."):
                    yield module.split(".")[1]
