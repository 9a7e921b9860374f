"""Every script brings what it uses of the shared part, and nothing stands below its first use."""

import re
from importlib import resources

import pytest

from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.scripts import Script

SHARED = resources.files("inferq.queue").joinpath("lua", "common.lua").read_text(encoding="utf-8")
NAMES = re.findall(r"^local (?:function )?(\w+)", SHARED, re.MULTILINE)
SCRIPTS = [script for script in vars(scripts).values() if isinstance(script, Script)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_what_a_script_uses_of_the_shared_part_is_defined_before(script):
    code = re.sub(r"--.*", "", script.source)
    for name in NAMES:
        definition = re.search(rf"^local (?:function )?{name}\b", code, re.MULTILINE)
        use = re.search(rf"(?<![.'\w]){name}\b(?!')", code)
        assert use is None or (definition is not None and definition.start() < use.start()), name


def test_shared_part_is_made_of_what_can_be_left_out():
    assert len(SCRIPTS) >= 19
    assert len(NAMES) > 20
    for part in SHARED.split("\n\n"):  # else an empty line divides a function, or a name is not seen
        assert part.count("function") <= part.count("\nend") or part.startswith("-- Shared"), part
    assert not re.search(r"^local \w+,", SHARED, re.MULTILINE)
    assert not any(
        "list_completed" in script.source for script in SCRIPTS if script.name in ("read", "force")
    )
