import pytest

from inferq.settings import Settings, load_settings


@pytest.mark.parametrize("name", Settings.model_fields)
def test_empty_variable_means_the_default(monkeypatch, name):
    monkeypatch.setenv(f"INFERQ_{name.upper()}", "")
    assert getattr(load_settings(), name) == Settings.model_fields[name].default
