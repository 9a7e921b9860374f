import pytest
from pydantic import ValidationError

from inferq.errors import InvalidSettingError
from inferq.settings import EARLIER_NAMES, Settings, load_settings

VALUES = {"lower_priority_share": (0.2, 0.3)}


def variable(name):
    return f"INFERQ_{name.upper()}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_empty_variable_means_the_default(monkeypatch, name):
    monkeypatch.setenv(variable(name), "")
    assert getattr(load_settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize(("name", "earlier"), EARLIER_NAMES.items())
def test_earlier_name_counts_where_the_new_one_is_not_set(monkeypatch, name, earlier):
    new, old = VALUES.get(name, (33.0, 44.0))
    monkeypatch.setenv(variable(earlier), str(old))
    assert getattr(load_settings(), name) == old
    monkeypatch.setenv(variable(name), "")
    assert getattr(load_settings(), name) == old
    monkeypatch.setenv(variable(name), str(new))
    assert getattr(load_settings(), name) == new
    assert getattr(load_settings(**{name: old}), name) == old


def test_earlier_names_are_those_of_no_setting_of_today():
    assert not EARLIER_NAMES.keys() - Settings.model_fields.keys()
    assert not EARLIER_NAMES.values() & Settings.model_fields.keys()


def test_times_are_named_in_seconds_and_sizes_in_bytes():
    times = [name for name, field in Settings.model_fields.items() if field.annotation is float]
    assert [name for name in times if not name.endswith("_seconds")] == ["lower_priority_share"]
    assert not [name for name in Settings.model_fields if name.endswith(("_mb", "_size", "_ms", "_ttl"))]


@pytest.mark.parametrize("name", ["INFERQ_RESULT_TTL_SECONDS", "INFERQ_RESULT_TTL", "INFERQ_MAX_ROWS"])
def test_value_that_is_not_valid_is_named_as_it_was_set(monkeypatch, name):
    monkeypatch.setenv(name, "-1")
    with pytest.raises(InvalidSettingError, match=rf"^{name} is not valid: .*'-1'"):
        load_settings()


def test_setting_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match="result_ttl"):
        Settings(result_ttl=1.0)
