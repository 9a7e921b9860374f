"""Models that are unloaded while idle, and loaded again when they are needed."""

from dataclasses import replace

import pytest

from inferq.errors import InvalidModelError
from inferq.models.repository.model_folder import load_model
from inferq.settings import Settings
from inferq.worker.loading.model_pool import ModelPool
from inferq.worker.serving.served_models import NotServedError, ServedTable
from tests.models import predict, serve
from tests.onnx_models import write_factor


@pytest.fixture
def table(tmp_path):
    """Three models that multiply by 1, 2 and 3."""
    names = {"one": 1, "two": 2, "three": 3}
    for name, factor in names.items():
        write_factor(tmp_path / name, factor)
    tables = [serve(tmp_path / name, Settings()).table for name in names]
    versions = {name: one.versions[name] for name, one in zip(names, tables, strict=True)}
    return ServedTable(versions, {name: one.document.to_json() for name, one in versions.items()})


@pytest.fixture
def missed():
    """Names of the models that are to be loaded anew."""
    return []


@pytest.fixture
def pool(missed):
    return ModelPool(2, lambda served: load_model(served.folder.path), missed.append)


def loaded(table):
    return [name for name, served in table.versions.items() if served.model.is_loaded]


def test_those_that_were_used_last_stay_and_another_is_loaded_again(table, pool):
    for name in ("three", "one", "two"):
        pool.use(table.versions[name], table)
    pool.trim(table)
    assert loaded(table) == ["one", "two"]
    pool.use(table.versions["three"], table)
    assert loaded(table) == ["two", "three"]
    assert predict(table.versions["three"].model, b"[[5]]") == b'{"outputs":{"y":[[15.0]]}}'


def change_unloaded(table, pool):
    """Changes the files of a model that is not in memory; returns what is served of it."""
    for name in ("one", "two"):
        pool.use(table.versions[name], table)
    pool.trim(table)
    write_factor(table.versions["three"].folder.path, 4)
    return table.versions["three"]


def test_jobs_of_a_model_whose_files_have_changed_wait_until_it_is_loaded_anew(table, pool, missed):
    changed = change_unloaded(table, pool)
    for _ in range(2):
        with pytest.raises(NotServedError):
            pool.use(changed, table)
    assert missed == ["three"]
    assert not changed.model.is_loaded
    assert [*pool.list_ready(table)] == ["one", "two"]
    anew = serve(changed.folder.path, Settings()).table.versions["three"]
    table = replace(table, versions={**table.versions, "three": anew})
    assert [*pool.list_ready(table)] == ["one", "two", "three"]
    pool.use(anew, table)
    assert predict(anew.model, b"[[5]]") == b'{"outputs":{"y":[[20.0]]}}'


def test_jobs_of_a_model_that_has_gone_while_it_was_unloaded_fail_after_some_time(table, pool, monkeypatch):
    changed = change_unloaded(table, pool)
    table = replace(table, documents={})
    with pytest.raises(NotServedError):
        pool.use(changed, table)
    monkeypatch.setattr("inferq.worker.loading.model_pool._PATIENCE_SECONDS", 0.0)
    assert [*pool.list_ready(table)] == ["one", "two", "three"]
    with pytest.raises(InvalidModelError, match="Put a version there that can be served"):
        pool.use(changed, table)


def test_model_that_cannot_be_loaded_again_is_not_unloaded(table, pool):
    broken = replace(table, left_out={"one": "It cannot be loaded."})
    drained = replace(table, documents=dict.fromkeys(("two", "three"), b""))
    for present in (broken, drained):
        pool.trim(present, 1)
        assert "one" in loaded(table)
