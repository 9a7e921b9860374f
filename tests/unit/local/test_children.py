import os

import pytest

from inferq.errors import InvalidSettingError
from inferq.local.children import make_object_server, make_proxies, make_server, make_workers
from inferq.local.embedded import DataDirectory
from inferq.local.model_source import ModelSource
from inferq.local.service_plan import make_plan
from inferq.settings import Settings


@pytest.fixture
def plan(tmp_path):
    """Makes the plan of a service with an embedded server, or of one with an outside server."""

    def make(*, only_model=None, embedded=True, has_object_store=False, **settings):
        return make_plan(
            Settings(**settings),
            ModelSource(tmp_path, "here", only_model),
            host="::",
            port=8000,
            workers=2,
            proxies=2,
            data_directory=(
                DataDirectory(tmp_path / "valkey", tmp_path / "blobs", tmp_path / "seaweedfs", 7)
                if embedded
                else None
            ),
            has_object_store=has_object_store,
        )

    return make


def test_all_children_use_the_embedded_server_and_only_that_holds_the_lock(plan):
    made = plan()
    server, *others = [make_server(made), *make_proxies(made), *make_workers(made)]
    assert server.kept_open == [7]
    assert not any(child.kept_open for child in others)
    assert {child.environment["INFERQ_REDIS_URL"] for child in others} == {
        f"redis://127.0.0.1:{made.redis_port}/0"
    }
    assert [child.name for child in others] == ["proxy-1", "proxy-2", "worker-1", "worker-2"]


def test_outside_server_is_not_started(plan):
    made = plan(embedded=False, redis_url="redis://elsewhere:6379/0")
    assert make_server(made) is None
    assert make_workers(made)[0].environment["INFERQ_REDIS_URL"] == "redis://elsewhere:6379/0"


def test_blob_store_is_in_the_data_directory_unless_another_is_named_or_the_server_is_an_outside_one(
    plan, tmp_path
):
    def store_of(made):
        return {
            child.environment["INFERQ_BLOB_STORE"] for child in (*make_proxies(made), *make_workers(made))
        }

    assert store_of(plan()) == {(tmp_path / "blobs").as_uri()}
    assert store_of(plan(blob_store="file:///mnt/x")) == {"file:///mnt/x"}
    assert store_of(plan(embedded=False)) == {""}


def test_object_store_is_started_where_it_is_wanted_and_holds_the_lock(plan):
    assert make_object_server(plan()) is None
    made = plan(has_object_store=True)
    assert make_object_server(made).kept_open == [7]
    assert made.settings.blob_store == "s3://inferq/blobs"
    assert len(set(made.object_ports)) == 10


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"embedded": False}, "INFERQ_BLOB_STORE"),
        ({"blob_store": "file:///mnt/x"}, "Name the blob store once"),
    ],
)
def test_object_store_beside_another_is_refused(plan, changed, words):
    with pytest.raises(InvalidSettingError, match=words):
        plan(has_object_store=True, **changed)


def test_object_store_that_is_not_installed_is_named(plan, monkeypatch):
    monkeypatch.setattr("inferq.local.object_server.shutil.which", lambda *_, **__: None)
    with pytest.raises(InvalidSettingError, match=r"install inferq\[blobs,seaweedfs\]"):
        plan(has_object_store=True)


def test_only_model_is_the_default_whatever_the_setting_says(plan, monkeypatch):
    monkeypatch.setenv("INFERQ_DEFAULT_MODEL", "other")
    [proxy, _] = make_proxies(plan(only_model="prices"))
    assert proxy.environment["INFERQ_DEFAULT_MODEL"] == "prices"
    [proxy, _] = make_proxies(plan())
    assert proxy.environment["INFERQ_DEFAULT_MODEL"] == "other"


def test_workers_share_the_cores_and_stop_before_up_gives_up(plan, monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8)
    [worker, _] = make_workers(plan())
    assert worker.environment["INFERQ_MODEL_THREADS"] == "4"
    assert float(worker.environment["INFERQ_SHUTDOWN_SECONDS"]) < 9
    [worker, _] = make_workers(plan(model_threads=3, shutdown_seconds=1))
    assert worker.environment.get("INFERQ_MODEL_THREADS") != "4"
    assert float(worker.environment["INFERQ_SHUTDOWN_SECONDS"]) == 1


def test_address_that_means_all_is_reached_at_loopback(plan):
    assert plan().proxy_url == "http://[::1]:8000"
