import pytest

from inferq.cli.version_commands import merge_rollout, read_shares
from inferq.errors import InvalidInputError


def test_shares_are_read_by_version():
    assert read_shares(["2=0.1", "v3=1", "4=0"]) == {"2": 0.1, "v3": 1.0, "4": 0.0}
    assert read_shares(None) is None


@pytest.mark.parametrize("text", ["2", "2=", "=0.1", "2=half", "2=1.5", "2=-0.1", "2=nan"])
def test_what_is_no_share_is_told_what_was_expected(text):
    with pytest.raises(InvalidInputError, match=r"Expected VERSION=SHARE, such as 2=0\.1"):
        read_shares([text])


def test_change_keeps_what_it_does_not_name_and_a_share_of_zero_ends_one():
    present = {
        "rollout": {"serve": "1", "shares": {"2": 0.1, "3": 0.2}, "shadow": {"4": 1}, "previous": "0"},
        "applied": None,
    }
    changed = merge_rollout(present, {"shares": {"2": 0.0, "5": 0.3}, "tolerance": 0.01})
    assert changed == {"serve": "1", "shares": {"3": 0.2, "5": 0.3}, "shadow": {"4": 1}, "tolerance": 0.01}


def test_change_of_what_model_toml_says_begins_with_that():
    present = {"rollout": None, "applied": {"serve": "1", "shares": {}, "shadow": {}, "tolerance": 0.1}}
    assert merge_rollout(present, {"shadow": {"2": 0.5}})["serve"] == "1"
    assert merge_rollout({"rollout": None, "applied": None}, {"serve": "2"}) == {
        "serve": "2",
        "shares": {},
        "shadow": {},
    }
