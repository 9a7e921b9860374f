"""The queue is entered by one door, and each side loads only what it uses."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inferq
from inferq import queue

SOURCE = Path(inferq.__file__).parent
OUTSIDE = [path for path in SOURCE.rglob("*.py") if SOURCE / "queue" not in path.parents]


def imports_of(path):
    """Module and names of every import of the queue in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [(node.module or "", tuple(alias.name for alias in node.names))]
        else:
            continue
        yield from (found for found in modules if found[0].split(".")[:2] == ["inferq", "queue"])


def test_nothing_outside_imports_from_inside_the_queue():
    around = [
        (path.name, module) for path in OUTSIDE for module, _ in imports_of(path) if module != "inferq.queue"
    ]
    assert around == []


def test_door_lists_exactly_what_is_used_outside():
    assert set(queue.__all__) == {name for path in OUTSIDE for _, names in imports_of(path) for name in names}


def test_every_name_is_loaded_from_where_type_checkers_find_it():
    named = {name: module for module, names in imports_of(Path(queue.__file__)) for name in names}
    assert set(named) == set(queue.__all__)
    for name, module in named.items():
        assert getattr(queue, name) is getattr(sys.modules[module], name)
    with pytest.raises(AttributeError, match="no attribute 'BRPOP'"):
        _ = queue.BRPOP


def modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "others"),
    [
        ("import inferq.queue", ("redis", "inferq.settings", "inferq.jobs")),
        (
            "from inferq.queue import open_consumer, open_outbox",
            ("inferq.queue.producer", "inferq.queue.events", "inferq.queue.inspection"),
        ),
        (
            "from inferq.queue import Producer, Position, EventSubscriber",
            ("inferq.queue.consumer", "inferq.queue.webhook_outbox"),
        ),
        ("from inferq.queue import RetryPolicy", ("redis",)),
    ],
)
def test_each_side_loads_only_its_own(code, others):
    assert modules_after(code).isdisjoint(others)


def test_queue_of_one_shard_loads_nothing_of_several():
    code = (
        "from inferq.queue import open_consumer, open_outbox; from inferq.settings import Settings; "
        "open_consumer(Settings(), 'worker-1'); open_outbox(Settings())"
    )
    assert {name for name in modules_after(code) if name.startswith("inferq.queue.shards.")} == {
        f"inferq.queue.shards.{name}" for name in ("consumer_choice", "shard_settings")
    }


def test_what_makes_one_queue_imports_nothing_of_several_but_how_settings_are_split():
    inside = [
        path for path in (SOURCE / "queue").rglob("*.py") if path.parent.name not in ("queue", "shards")
    ]
    above = {module for path in inside for module, _ in imports_of(path) if "shards" in module.split(".")}
    assert above <= {"inferq.queue.shards.shard_settings"}
