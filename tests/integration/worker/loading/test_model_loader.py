import os
import shutil
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from inferq.jobs import Status
from inferq.models.repository.repository_scan import ModelFolder
from inferq.queue.consumer.model_loads import MOST_DEATHS, ModelLoads
from inferq.queue.producer.submission import Submission
from inferq.worker.loading.model_loader import ModelLoader
from tests.integration.worker.processes import WorkerProcess, ended, reported
from tests.onnx_models import write_deep_tree, write_doubling, write_failing_model, write_one_long_node

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def models(tmp_path):
    shutil.copytree(Path(__file__).parents[4] / "models" / "iris", tmp_path / "models" / "iris")
    return tmp_path / "models"


def write_long_example(folder):
    """A model that is in one node for longer than any test, which does not see that it is told to stop."""
    write_one_long_node(folder)
    (folder / "model.toml").write_text("example = [7000]")


async def left_out(producer):
    [worker] = await reported(producer)
    return worker.left_out


async def expect_iris_is_served(producer):
    job = await ended(producer, await producer.submit(Submission("iris", DATA)))
    assert job.status is Status.COMPLETED


async def test_broken_model_is_left_out_with_its_reason_and_the_others_are_served(
    start_worker, producer, models
):
    (models / "broken").mkdir()
    (models / "broken" / "model.onnx").write_bytes(b"no model")
    worker = start_worker(models_dir=models)
    await expect_iris_is_served(producer)
    reasons = await left_out(producer)
    assert list(reasons) == ["broken"]
    assert reasons["broken"].startswith("broken/model.onnx cannot be loaded")
    code, log = worker.stop()
    assert code == 0
    assert log.count("model_left_out") == 1
    assert "Traceback" not in log


async def test_model_that_fails_on_its_own_example_is_left_out(start_worker, producer, models):
    write_failing_model(models / "failing")
    (models / "failing" / "model.toml").write_text("example = [99]")
    start_worker(models_dir=models)
    await expect_iris_is_served(producer)
    assert "fails on its own example" in (await left_out(producer))["failing"]


async def test_worker_that_is_to_serve_nothing_of_its_repository_ends_with_what_is_there(
    start_worker, models
):
    worker = start_worker(models_dir=models, models="!iris")
    _, log = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    assert "INFERQ_MODELS (!iris) chooses nothing" in log
    assert "has iris." in log


async def test_strict_worker_ends_where_one_model_cannot_be_served(start_worker, models):
    (models / "broken").mkdir()
    (models / "broken" / "model.onnx").write_bytes(b"no model")
    worker = start_worker(models_dir=models, strict_models="true")
    _, log = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    assert log.startswith("inferq worker: ")
    assert log.count("\n") == 1
    assert "broken" in log


async def test_model_that_never_ends_on_zeros_is_named_and_left_out(start_worker, producer, models):
    write_doubling(models / "doubling")
    worker = start_worker(models_dir=models, model_load_timeout_seconds=5)
    await worker.until_logged("model_loading")
    assert "doubling" in worker.log
    await expect_iris_is_served(producer)
    assert "INFERQ_MODEL_LOAD_TIMEOUT_SECONDS" in (await left_out(producer))["doubling"]
    assert "worker_replaces_itself" not in worker.stop()[1]


async def test_model_that_hangs_within_one_node_is_left_out_by_a_new_process(start_worker, producer, models):
    write_long_example(models / "hanging")
    worker = start_worker(models_dir=models, model_load_timeout_seconds=5, run_stop_grace_seconds=0.2)
    await expect_iris_is_served(producer)
    assert "INFERQ_MODEL_LOAD_TIMEOUT_SECONDS" in (await left_out(producer))["hanging"]
    log = worker.stop()[1]
    assert log.count("worker_replaces_itself") == 1
    assert "worker_died_while_loading" not in log


async def test_model_that_kills_its_worker_is_left_out_at_the_next_start(start_worker, producer, models):
    write_deep_tree(models / "deep")
    doomed = start_worker(models_dir=models)
    assert doomed.process.wait(60) == -signal.SIGSEGV
    worker = start_worker(models_dir=models)
    await expect_iris_is_served(producer)
    assert "SIGSEGV" in (await left_out(producer))["deep"]
    assert "worker_died_while_loading" in worker.stop()[1]

    careless = start_worker(models_dir=models)  # it is known by now: nobody dies of it any more
    await expect_iris_is_served(producer)
    assert "SIGSEGV" in (await left_out(producer))["deep"]
    assert "worker_died_while_loading" not in careless.stop()[1]


async def test_several_models_that_kill_their_worker_cost_one_start(start_worker, producer, models):
    for name in ("deep", "deeper", "deepest"):
        write_deep_tree(models / name)
    assert start_worker(models_dir=models).process.wait(60) == -signal.SIGSEGV
    start_worker(models_dir=models)
    await expect_iris_is_served(producer)
    assert sorted(await left_out(producer)) == ["deep", "deeper", "deepest"]


async def test_model_that_was_mended_is_loaded_again(start_worker, producer, models):
    write_deep_tree(models / "deep")
    assert start_worker(models_dir=models).process.wait(60) == -signal.SIGSEGV
    careful = start_worker(models_dir=models)
    await careful.until_logged("worker_ready")
    careful.stop()
    write_deep_tree(models / "deep", depth=10)
    start_worker(models_dir=models)
    job = await ended(producer, await producer.submit(Submission("deep", b"[[1.0]]")))
    assert job.status is Status.COMPLETED
    assert await left_out(producer) == {}


async def test_good_model_is_served_though_its_worker_was_killed_from_outside_while_it_was_loaded(
    start_worker, producer, models, redis_client
):
    write_long_example(models / "slow")
    doomed = start_worker(models_dir=models)
    await doomed.until_logged("model_loading")
    doomed.process.kill()
    doomed.process.wait()
    write_one_long_node(models / "slow")
    (models / "slow" / "model.toml").write_text("example = [2]")
    worker = start_worker(models_dir=models)
    await expect_iris_is_served(producer)
    assert (await reported(producer))[0].models == ("iris", "slow")
    assert "worker_died_while_loading" in worker.stop()[1]
    assert list(redis_client.scan_iter("loading:*")) == []


async def test_worker_that_is_told_to_stop_while_it_loads_blames_no_model(
    start_worker, producer, models, redis_client
):
    write_long_example(models / "slow")
    worker = start_worker(models_dir=models)
    await worker.until_logged("model_loading")
    assert list(redis_client.scan_iter("loading:*"))
    assert worker.stop()[0] == 0
    assert list(redis_client.scan_iter("loading:*")) == []


async def test_model_that_took_its_worker_along_even_from_a_process_of_its_own_is_not_loaded_again(
    settings, models, redis_client
):
    """As where the whole container is killed since memory has run out."""
    write_deep_tree(models / "deep")  # to load it here would end the tests
    chosen = settings.model_copy(update={"models_dir": models})
    loader = ModelLoader(chosen)
    stamp = loader.make_stamp(ModelFolder(models / "deep", "deep"))
    die_while_loading(chosen, stamp)
    loaded = loader.load()
    assert list(loaded.versions) == ["iris"]
    assert "3 workers in a row died" in loaded.left_out["deep"]


def die_while_loading(settings, stamp):
    """Leaves the notes of workers that died in a row: of this very process, taken for its own successor."""
    for number in range(1, MOST_DEATHS + 1):
        with closing(ModelLoads(settings, socket.gethostname())) as dead:
            assert dead.find_dead() == (number > 1)
            dead.begin(stamp)


async def test_model_that_a_worker_has_loaded_is_not_left_out_however_often_workers_are_killed(
    settings, models, redis_client
):
    chosen = settings.model_copy(update={"models_dir": models})
    for _ in range(2):
        loader = ModelLoader(chosen)
        assert loader.load().left_out == {}
        die_while_loading(chosen, loader.make_stamp(ModelFolder(models / "iris", "iris")))


async def test_note_of_a_worker_that_still_loads_makes_nobody_careful(settings, redis_client):
    redis_client.hset("loading:host", str(os.getppid()), "1 stamp")
    with closing(ModelLoads(settings, "host")) as loads:
        assert not loads.find_dead()
        redis_client.hset("loading:host", "none of any process", "nonsense")
        assert loads.find_dead()


async def test_keys_that_another_program_has_corrupted_stop_no_start(settings, redis_client):
    redis_client.set("loading:host", "odd")
    loads = ModelLoads(settings, "host")
    assert not loads.find_dead()
    assert loads.find_reason("stamp") is None
    loads.begin("stamp")
    loads.condemn("stamp", "It is broken.")
    loads.end()
    redis_client.delete("loading:host")
    with closing(ModelLoads(settings, "host")) as following:
        assert following.find_reason("stamp") == "It is broken."


def test_worker_without_a_model_that_can_be_served_says_so_and_ends(redis_url, models):
    (models / "iris" / "model.onnx").write_bytes(b"no model")
    worker = WorkerProcess(redis_url, models_dir=models)
    _, log = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    last = log.splitlines()[-1]
    assert last.startswith("inferq worker: No model of the repository")
    assert "iris/model.onnx cannot be loaded" in last
