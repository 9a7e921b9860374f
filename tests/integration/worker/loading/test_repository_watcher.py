"""Models that come, change and go while a worker serves."""

import asyncio
import os
import re
import shutil

import orjson
import pytest

from inferq.jobs import Status
from inferq.queue.producer.submission import Submission
from inferq.rollout import Rollout
from tests.integration.worker.processes import ended, reported
from tests.onnx_models import write_deep_tree, write_factor, write_one_long_node

QUICK = {"models_poll_seconds": 0.1, "heartbeat_seconds": 0.5}


@pytest.fixture
def models(tmp_path):
    write_factor(tmp_path / "models" / "scale" / "1", 1)
    write_factor(tmp_path / "models" / "other", 7)
    return tmp_path / "models"


def write_aside(folder, factor, **shape):
    """Moves a version into the repository as a whole, as a careful copy does."""
    write_factor(folder.parent.parent / f".{folder.name}", factor, **shape).rename(folder)


async def run(producer, model, data=b"[[1]]"):
    job = await ended(producer, await producer.submit(Submission(model, data)))
    assert job.status is Status.COMPLETED, job.error
    return orjson.loads(job.result)["outputs"]["y"][0][0], job.made_by.version


async def until(condition, timeout=60.0):
    async with asyncio.timeout(timeout):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def until_served(producer, name, version):
    """Waits until a queue is announced with a version, or is not, by the worker as well."""

    async def is_served():
        text = (await producer.read_models()).get(name)
        workers = await producer.read_workers()
        served = orjson.loads(text)["version"] if text else None
        known = {one.model_versions.get(name) for one in workers}
        return served == version and known == {version}

    await until(is_served)


async def until_left_out(producer, name):
    async def find_reason():
        workers = await producer.read_workers()
        return workers and workers[0].left_out.get(name)

    return await until(find_reason)


async def test_new_version_takes_over_and_a_removed_one_goes(start_worker, producer, models):
    worker = start_worker(models_dir=models, **QUICK)
    await until_served(producer, "scale", "1")
    assert await run(producer, "scale") == (1, "1")
    write_aside(models / "scale" / "10", 10)
    write_aside(models / "scale" / "9", 9)
    await until_served(producer, "scale@9", "9")
    await until_served(producer, "scale", "10")
    assert await run(producer, "scale") == (10, "10")
    assert await run(producer, "scale@1") == (1, "1")
    assert orjson.loads((await producer.read_models())["scale"])["versions"] == ["1", "9", "10"]
    shutil.rmtree(models / "scale" / "10")
    await until_served(producer, "scale@10", None)
    await until_served(producer, "scale", "9")
    assert await run(producer, "scale") == (9, "9")
    shutil.rmtree(models / "scale")
    for name in ("scale", "scale@1", "scale@9"):
        await until_served(producer, name, None)
    assert await run(producer, "other") == (7, (await reported(producer))[0].model_versions["other"])
    code, log = worker.stop()
    assert code == 0
    assert "Traceback" not in log
    drained = re.findall(r"queue_drained +model=([\w@]+)(?= |$)", log, re.MULTILINE)
    assert sorted(drained) == ["scale", "scale@1", "scale@10", "scale@9"]


async def test_model_without_versions_is_replaced_by_its_new_file(start_worker, producer, models):
    start_worker(models_dir=models, **QUICK)
    await until_served(producer, "scale", "1")
    before = (await reported(producer))[0].model_versions["other"]
    write_factor(models / ".new", 8)
    (models / ".new" / "model.onnx").rename(models / "other" / "model.onnx")

    async def is_replaced():
        return (await run(producer, "other"))[1] != before

    await until(is_replaced)
    assert (await run(producer, "other"))[0] == 8
    (models / "other" / "model.toml").touch()  # so that the folder still looks like a model
    (models / "other" / "model.onnx").unlink()
    assert "What was loaded before is served." in await until_left_out(producer, "other")
    assert (await run(producer, "other"))[0] == 8


@pytest.mark.parametrize("write_bad", ["damaged", "kills", "hangs"])
async def test_version_that_cannot_be_loaded_leaves_the_one_before(start_worker, producer, models, write_bad):
    worker = start_worker(
        models_dir=models, model_load_timeout_seconds=3.0, run_stop_grace_seconds=0.5, **QUICK
    )
    await until_served(producer, "scale", "1")
    if write_bad == "damaged":
        (models / ".2").mkdir()
        (models / ".2" / "model.onnx").write_bytes(b"half of a file")
    elif write_bad == "kills":
        write_deep_tree(models / ".2")
    else:
        write_one_long_node(models / ".2")
        (models / ".2" / "model.toml").write_text("example = [7000]")
    (models / ".2").rename(models / "scale" / "2")
    reason = await until_left_out(producer, "scale@2")
    expected = {"damaged": "cannot be loaded", "kills": "dies (SIG", "hangs": "not ready within 3 s"}
    assert expected[write_bad] in reason
    assert await run(producer, "scale") == (1, "1")
    assert [one.pid for one in await reported(producer)] == [worker.process.pid]
    write_factor(models / ".3", 2)
    (models / ".3" / "model.onnx").rename(models / "scale" / "2" / "model.onnx")
    (models / "scale" / "2" / "model.toml").write_text("")
    await until_served(producer, "scale", "2")
    assert await run(producer, "scale") == (2, "2")
    assert (await reported(producer))[0].left_out == {}


async def test_order_of_an_operator_is_followed_and_reported(start_worker, producer, models):
    write_factor(models / "scale" / "2", 2)
    (models / "scale" / "model.toml").write_text("[rollout]\nserve = '1'\n")
    start_worker(models_dir=models, models_poll_seconds=0, heartbeat_seconds=0.2)
    await until_served(producer, "scale", "1")

    async def order(rollout):
        _, generation = await producer.change_rollout("scale", lambda _: rollout)

        async def is_followed():
            return [one.repository_generation for one in await producer.read_workers()] == [generation]

        await until(is_followed)

    await order(Rollout(serve="2"))
    assert await run(producer, "scale") == (2, "2")
    await order(Rollout(serve="1", shares={"2": 1.0}))
    assert await run(producer, "scale") == (2, "2")
    await order(Rollout(is_unloaded=True))
    await until_served(producer, "scale", None)
    await order(None)
    await until_served(producer, "scale", "1")
    write_factor(models / "scale" / "3", 3)
    await order(Rollout(serve="3"))
    assert await run(producer, "scale") == (3, "3")


async def test_jobs_of_a_model_that_goes_are_done_first(start_worker, producer, models):
    start_worker(models_dir=models, simulated_run_seconds=0.1, **QUICK)
    await until_served(producer, "scale", "1")
    ids = [await producer.submit(Submission("scale@1", b"[[1]]")) for _ in range(20)]
    shutil.rmtree(models / "scale")
    await until_served(producer, "scale@1", None)
    for job_id in ids:
        assert (await ended(producer, job_id)).status is Status.COMPLETED


async def test_workers_of_one_host_both_change_over(start_worker, producer, models):
    for _ in range(2):
        start_worker(models_dir=models, **QUICK)
    await until_served(producer, "scale", "1")
    write_aside(models / "scale" / "2", 2)
    await until_served(producer, "scale", "2")
    shutil.rmtree(models / "scale" / "1")
    await until_served(producer, "scale@1", None)
    assert await run(producer, "scale") == (2, "2")


async def test_worker_that_is_killed_while_it_loads_a_version_is_followed_by_one_that_serves(
    start_worker, producer, models, redis_client
):
    worker = start_worker(models_dir=models, **QUICK)
    await until_served(producer, "scale", "1")
    write_one_long_node(models / ".2")
    (models / ".2" / "model.toml").write_text("example = [7000]")
    (models / ".2").rename(models / "scale" / "2")
    await worker.until_logged("models_loading_in_subprocess")
    await until(lambda: asyncio.to_thread(lambda: list(redis_client.scan_iter("loading:*"))))
    worker.process.kill()
    start_worker(models_dir=models, model_load_timeout_seconds=5.0, **QUICK)
    assert "not ready within 5 s" in await until_left_out(producer, "scale@2")
    assert await run(producer, "scale") == (1, "1")


async def test_folder_that_still_changes_is_not_read(start_worker, producer, models):
    worker = start_worker(models_dir=models, models_poll_seconds=1.5, heartbeat_seconds=0.2)
    await until_served(producer, "scale", "1")
    write_factor(models / ".whole", 2)
    whole = (models / ".whole" / "model.onnx").read_bytes()
    (models / "scale" / "2").mkdir()
    with (models / "scale" / "2" / "model.onnx").open("wb") as file:
        for byte in range(len(whole)):
            if byte % (len(whole) // 45) == 0:
                await asyncio.sleep(0.1)
            file.write(whole[byte : byte + 1])
            file.flush()
        os.fsync(file.fileno())
    await until_served(producer, "scale", "2")
    assert "model_left_out" not in worker.stop()[1]


async def test_idle_versions_are_unloaded_and_run_again_when_a_job_comes(start_worker, producer, models):
    write_factor(models / "scale" / "2", 2)
    worker = start_worker(models_dir=models, max_loaded_models=1, **QUICK)
    await until_served(producer, "scale", "2")
    for _ in range(2):
        assert await run(producer, "scale@1") == (1, "1")
        assert await run(producer, "scale@2") == (2, "2")
    assert worker.stop()[1].count("model_loaded_again") == 4


async def test_jobs_of_a_model_that_changes_while_it_is_unloaded_run_on_what_is_there_then(
    start_worker, producer, models
):
    # nobody sees the change before the jobs come
    worker = start_worker(models_dir=models, max_loaded_models=1, models_poll_seconds=0)
    await until_served(producer, "scale@1", "1")
    assert await run(producer, "scale@1") == (1, "1")  # so that the other one is unloaded
    write_factor(models / ".new", 8)
    (models / ".new" / "model.onnx").replace(models / "other" / "model.onnx")
    ids = [await producer.submit(Submission("other", b"[[1]]")) for _ in range(5)]
    for job_id in ids:
        job = await ended(producer, job_id)
        assert (job.status, job.result) == (Status.COMPLETED, b'{"outputs":{"y":[[8.0]]}}'), job.error
    assert "model_not_loaded_again" in worker.stop()[1]


async def test_model_that_is_broken_while_it_is_unloaded_is_announced_no_more(start_worker, producer, models):
    start_worker(models_dir=models, max_loaded_models=1, **QUICK)
    await until_served(producer, "scale@1", "1")
    assert await run(producer, "scale@1") == (1, "1")
    (models / "other" / "model.onnx").write_bytes(b"nonsense")
    assert "is served" not in await until_left_out(producer, "other")
    await until_served(producer, "other", None)


async def test_jobs_of_shares_run_where_there_is_room_for_one_version(start_worker, producer, models):
    write_factor(models / "scale" / "2", 2)
    (models / "scale" / "model.toml").write_text('[rollout]\nserve = "1"\nshares = {2 = 0.5}\n')
    ids = [await producer.submit(Submission("scale", b"[[1]]")) for _ in range(20)]  # they share a claim
    start_worker(models_dir=models, max_loaded_models=1, **QUICK)
    for job_id in ids:
        job = await ended(producer, job_id)
        assert job.status is Status.COMPLETED, job.error
        assert job.attempts == 1


async def test_model_that_was_left_out_for_its_rollout_is_served_once_that_is_mended(
    start_worker, producer, models
):
    text = 'description = "Scales"\n[rollout]\nshares = {1 = 7}\n'
    (models / "scale" / "model.toml").write_text(text)
    write_factor(models / "other", 2)  # so that the worker has something to serve
    start_worker(models_dir=models, **QUICK)
    assert "rollout.shares" in await until_left_out(producer, "scale@1")
    (models / "scale" / "model.toml").write_text(text.replace("7", "0.5"))
    await until_served(producer, "scale", "1")
    assert await run(producer, "scale") == (1, "1")


@pytest.mark.parametrize(
    "text", ['[rollout\nserve = "1"', "[rollout]\nshares = {1 = 7}\n"], ids=["torn", "wrong"]
)
async def test_model_toml_that_cannot_be_read_lets_no_other_version_serve(
    start_worker, producer, models, text
):
    write_factor(models / "scale" / "2", 2)
    (models / "scale" / "model.toml").write_text('[rollout]\nserve = "1"\n')
    start_worker(models_dir=models, **QUICK)
    await until_served(producer, "scale", "1")
    (models / "scale" / "model.toml").write_text(text)
    assert "before" in await until_left_out(producer, "scale")
    assert await run(producer, "scale") == (1, "1")
    (models / "scale" / "model.toml").write_text('[rollout]\nserve = "2"\n')
    await until_served(producer, "scale", "2")
