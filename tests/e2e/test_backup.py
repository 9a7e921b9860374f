"""A backup made under load, and restored onto a new server: every job that was accepted before is found."""

import shutil
import subprocess
import threading

import pytest

from inferq import Client, InferqError
from tests.e2e.processes import ROOT, call, wait_until_healthy
from tests.servers import REDIS_BINARY, Server, free_port, wait_until

ROW = [5.1, 3.5, 1.4, 0.2]
SHORT, LONG = [ROW], [ROW] * 200
"""The data of the second is in the blob store."""


class Load:
    """Clients who submit until they are told to stop; knows what was accepted."""

    def __init__(self, url):
        self._url = url
        self.accepted = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._submit, args=(data,)) for data in (SHORT, LONG)]
        for thread in self._threads:
            thread.start()

    def _submit(self, data):
        with Client(self._url) as client:
            while not self._stopping.is_set():
                try:
                    self.accepted.append(client.submit(data, model="iris").id)
                except InferqError:
                    return

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def copy_store(store, copy):
    """What `cp -r`, or rsync without --delete, does; what is removed meanwhile is not missed."""
    subprocess.run(["cp", "-rn", f"{store}/.", copy], check=False, capture_output=True)


def copy_append_only_file(server, copy):
    """The procedure that Redis documents: no rewrite while the folder is copied."""
    with server.client() as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        shutil.copytree(server.folder / "appendonlydir", copy / "appendonlydir")
        client.config_set("auto-aof-rewrite-percentage", 100)


def copy_snapshot(server, copy):
    command = ["redis-cli", "-p", str(server.port), "--rdb", copy / "dump.rdb"]
    subprocess.run(command, check=True, capture_output=True)


def start_restored(server, copy):
    """Starts a new server with a copy; of a snapshot it makes an append-only file once it has read it."""
    shutil.copytree(copy, server.folder, dirs_exist_ok=True)
    if (copy / "appendonlydir").exists():
        return server.start()
    server.start("--appendonly", "no")
    with server.client() as client:
        client.config_set("appendonly", "yes")
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    return server


@pytest.mark.parametrize("back_up", [copy_append_only_file, copy_snapshot])
def test_backup_under_load_has_every_accepted_job(start, tmp_path, back_up):
    if REDIS_BINARY is None or shutil.which("redis-cli") is None:
        pytest.skip("redis-server and redis-cli are not installed")
    before, after = Server("redis"), Server("redis")
    store, copy, kept = tmp_path / "blobs", tmp_path / "copy", tmp_path / "kept"
    for folder in (store, copy, kept):
        folder.mkdir()
    for name, model in (("now", "iris"), ("later", "later")):
        shutil.copytree(ROOT / "models/iris", tmp_path / "models" / name / model)
    try:
        accepted, ended = run_under_load(
            start, before.start(), store, tmp_path / "models", copy, kept, back_up
        )
        before.stop()
        start_restored(after, copy)
        url, stop = start_service(start, after, kept, tmp_path / "models")
        with Client(url) as client:
            for job_id in accepted:
                job = client.job(job_id).wait(100)
                # the data of what ended while the copies were made may be gone
                assert job.status == "completed" or job_id in ended, job.error
                if job.status == "completed":
                    assert job.result()["prediction"] in (0, [0] * 200)
        stop()
    finally:
        before.stop()
        after.stop()


def start_service(start, server, store, models, run_seconds=0.0):
    """Starts a proxy, and a worker of each model; those of the model "later" take so long for a run."""
    settings = {"redis_url": server.url, "blob_store": f"file://{store}", "blob_bytes": 1024}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    programs = [
        start("inferq", "proxy", "--port", port, **settings),
        start(
            "inferq",
            "worker",
            models_dir=models / "now",
            simulated_run_seconds=run_seconds and 0.2,
            **settings,
        ),
        start(
            *("inferq", "worker"),
            models_dir=models / "later",
            simulated_run_seconds=run_seconds,
            shutdown_seconds=0,
            **settings,
        ),
    ]
    wait_until_healthy(url)
    wait_until(lambda: call("GET", f"{url}/models")[1]["models"] == ["iris", "later"], 60, "both models")
    return url, lambda: [program.stop() for program in programs]


def run_under_load(start, server, store, models, copy, kept, back_up):
    """Returns the jobs accepted before the backup began, and those that had ended when it was made."""
    url, stop = start_service(start, server, store, models, run_seconds=600)
    with Client(url) as client:
        unfinished = [client.submit(data, model="later").id for data in (SHORT, LONG)]
    load = Load(url)
    try:
        wait_until(lambda: len(load.accepted) > 60, 90, "sixty jobs being accepted")
        accepted = [*unfinished, *load.accepted]
        copy_store(store, kept)
        back_up(server, copy)
        copy_store(store, kept)
        with Client(url) as client:
            ended = {job_id for job_id in accepted if client.job(job_id).refresh().has_ended}
    finally:
        load.stop()
    stop()
    assert ended.isdisjoint(unfinished)
    return accepted, ended
