"""The texts of the live page: each in both languages, none that is not there, none that nothing shows."""

import re
from pathlib import Path

import inferq.proxy
from inferq.errors import FailureKind

UI = Path(inferq.proxy.__file__).parent / "ui"
CODE = "\n".join(path.read_text(encoding="utf-8") for path in UI.glob("*.js") if path.name != "texts.js")


def read_texts():
    parts = re.split(r"^  ja: \{$", (UI / "texts.js").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [dict(re.findall(r'^    "([^"]+)":\s+"(.*)",$', part, re.MULTILINE)) for part in parts]


ENGLISH, JAPANESE = read_texts()


def values_of(text):
    return set(re.findall(r"\{(\w+)\}", text))


def test_each_text_is_there_in_both_languages_with_the_same_values():
    plain = {key: text for key, text in ENGLISH.items() if not key.endswith(".one")}
    assert len(plain) > 150
    assert plain.keys() == JAPANESE.keys()
    for key, text in plain.items():
        assert values_of(text) == values_of(JAPANESE[key]), key


def test_each_text_that_the_code_names_is_there_and_each_that_is_there_is_named():
    assert set(re.findall(r'\bt\("([^"]+)"', CODE)) <= ENGLISH.keys()
    named = set(re.findall(r'"([a-z][a-z0-9.-]*)"', CODE))
    # t(`status.${job.status}`)
    composed = [
        re.sub(r"\\\$\\\{.*?\\\}", "[^ ]+", re.escape(key)) for key in re.findall(r"\bt\(`([^`]+)`", CODE)
    ]
    assert len(composed) > 10
    assert [
        key
        for key in JAPANESE
        if key not in named and not any(re.fullmatch(pattern, key) for pattern in composed)
    ] == []


def test_japanese_texts_are_japanese():
    assert {key for key, text in JAPANESE.items() if text == ENGLISH[key]} == {
        "none",
        "form.json",
        "job.webhook",
    }


def test_filter_offers_every_reason_for_which_a_job_may_have_failed():
    kinds = re.search(r"const KINDS = \[(.*?)\];", (UI / "filter.js").read_text(encoding="utf-8"), re.DOTALL)[
        1
    ]
    assert set(re.findall(r'"([a-z-]+)"', kinds)) == set(FailureKind)
