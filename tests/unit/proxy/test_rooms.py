"""Imports of the proxy's rooms run one way: app and server, routes, services, http; transport is below."""

import ast
from pathlib import Path

import pytest

import inferq.proxy
from inferq.proxy import transport

ROOT = Path(inferq.proxy.__file__).parent
MAY_IMPORT = {
    "app": {"routes", "services", "http", "transport"},
    "server": {"app", "transport"},
    "routes": {"services", "http", "transport"},
    "services": {"http"},
    "transport": {"http"},
    "http": set(),
}


def read_imports(path):
    """Modules that a file imports, and those that it may import names of."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_between_rooms_run_one_way(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    imported = [name.split(".")[2:] for name in read_imports(path) if name.startswith("inferq.proxy.")]
    assert {rest[0] for rest in imported} <= MAY_IMPORT.get(room, set()) | {room}
    if room != "transport":
        entered = {rest[1] for rest in imported if rest[0] == "transport"}
        assert entered <= set(transport.__all__), "transport is entered by its package alone"


def test_no_room_is_left_out():
    rooms = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert rooms == {*MAY_IMPORT, "__init__"}
