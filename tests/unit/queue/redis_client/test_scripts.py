"""Every script and include names what it uses, and nothing else."""

import re
from pathlib import Path

import pytest

from inferq import queue
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.scripts import Script, load_script

FOLDER = Path(queue.__path__[0], "lua")
SCRIPTS = [script for script in vars(scripts).values() if isinstance(script, Script)]
TEXTS = {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.lua")}
INCLUDES = {name.removeprefix("includes/").removesuffix(".lua") for name in TEXTS if "/" in name}


def without_comments_and_strings(text):
    return re.sub(r"'[^'\n]*'", "''", re.sub(r"--.*", "", text))


def names_defined_in(text):
    """The functions and constants that a file defines at its top level; variables are its own."""
    code = without_comments_and_strings(text)
    constants = re.findall(r"^local ([A-Z_]+(?:, [A-Z_]+)*|prefix|call)\b", code, re.M)
    return set(re.findall(r"^local function (\w+)", code, re.M)) | set(", ".join(constants).split(", "))


def names_in(text):
    """Whatever may be a variable or a function: no field of a table."""
    code = without_comments_and_strings(text)
    return set(re.findall(r"(?<![.\w])[A-Za-z_]\w*\b(?!\s*=[^=])", code)) | set(
        re.findall(r"^(\w+)\(", code, re.M)
    )


def includes_of(text):
    return re.findall(r'^--- @include "(\w+)"$', text, re.M)


DEFINED = {include: names_defined_in(TEXTS[f"includes/{include}.lua"]) for include in INCLUDES}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_includes_exactly_what_it_uses(name):
    text = TEXTS[name]
    others = {include: names for include, names in DEFINED.items() if f"includes/{include}.lua" != name}
    used = {include for include, names in others.items() if not names.isdisjoint(names_in(text))}
    assert includes_of(text) == sorted(used)


def test_no_name_is_defined_twice():
    for name, text in TEXTS.items():
        code = without_comments_and_strings(text)
        lists = re.findall(r"\blocal (?:function )?(\w+(?:, \w+)*)", code)
        local = {each for names in lists for each in names.split(", ")}
        for include, names in DEFINED.items():
            assert f"includes/{include}.lua" == name or names.isdisjoint(local), (name, include)


def test_every_include_is_used():
    used = {include for text in TEXTS.values() for include in includes_of(text)}
    assert used == INCLUDES


def test_every_script_is_loaded():
    assert {f"{script.name}.lua" for script in SCRIPTS} == {name for name in TEXTS if "/" not in name}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_tells_its_keys_arguments_and_answer(script):
    header = re.match(r"(#!lua.*\n)?((--.*\n)+)", TEXTS[f"{script.name}.lua"])[2]
    assert "-- KEYS" in header
    assert "-- ARGV[1]  key prefix" in header
    assert "-- Returns  " in header


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "includes").mkdir()
    (tmp_path / "includes" / "first.lua").write_text("local first = 1\n")
    (tmp_path / "includes" / "second.lua").write_text('--- @include "first"\nlocal second = first\n')
    return tmp_path


def test_what_is_included_comes_once_and_before_its_use(folder):
    (folder / "script.lua").write_text(
        '#!lua flags=allow-oom\n-- Adds.\n--- @include "second"\n--- @include "first"\nreturn second\n'
    )
    assert load_script("script", folder).source == (
        "#!lua flags=allow-oom\nlocal first = 1\nlocal second = first\nreturn second\n"
    )


def test_an_unknown_include_is_an_error(folder):
    (folder / "script.lua").write_text('--- @include "third"\n')
    with pytest.raises(ValueError, match="There is no include third"):
        load_script("script", folder)


def test_an_include_that_includes_itself_is_an_error(folder):
    (folder / "includes" / "first.lua").write_text('--- @include "second"\n')
    (folder / "script.lua").write_text('--- @include "first"\n')
    with pytest.raises(ValueError, match="first → second → first"):
        load_script("script", folder)
