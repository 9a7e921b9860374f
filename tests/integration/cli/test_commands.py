"""The command line against a whole service."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.servers import wait_until

pytestmark = pytest.mark.timeout(600)  # some run the program twenty times, which may be slow to start
DATA = "[[5.1, 3.5, 1.4, 0.2]]"


@pytest.fixture
def inferq(service):
    def run(*arguments, standard_input=None, url=service, **environment):
        return subprocess.run(
            [sys.executable, "-m", "inferq", *map(str, arguments), *(["--url", url] if url else [])],
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | environment,
        )

    return run


def test_predict_prints_a_table_for_people_and_json_for_programs(inferq):
    shown = inferq("predict", DATA)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "setosa" in shown.stdout
    assert json.loads(inferq("predict", DATA, "--json").stdout)["class_name"] == "setosa"


def test_time_to_wait_and_workers_it_needs_are_told(inferq):
    assert "setosa" in inferq("predict", DATA, "--expires-in", 60).stdout
    assert (
        json.loads(inferq("queue", "--target-wait", 5, "--json").stdout)["models"]["iris"]["needed_workers"]
        <= 1
    )
    shown = inferq("queue", "--target-wait", 5)
    assert {"backlog", "needed"} <= set(shown.stdout.split())
    assert inferq("queue", "--target-wait", 0).returncode == 1


def test_data_come_from_files_and_standard_input(inferq, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({"data": [[6.3, 3.3, 6.0, 2.5]]}))
    (tmp_path / "data.csv").write_text(
        "petal length (cm),petal width (cm),sepal length (cm),sepal width (cm)\n6.0,2.5,6.3,3.3\n"
    )
    np.save(tmp_path / "data.npy", np.array([[6.3, 3.3, 6.0, 2.5]]))
    for name in ("data.json", "data.csv", "data.npy"):
        shown = inferq("predict", "--file", tmp_path / name, "--json")
        assert "virginica" in shown.stdout, shown.stderr
    assert "setosa" in inferq("predict", "--file", "-", standard_input=DATA).stdout


def test_several_files_are_a_job_each_and_answer_in_order(inferq, tmp_path):
    names = [tmp_path / f"{number}.npy" for number in range(20)]
    for number, name in enumerate(names):
        np.save(name, np.array([[5.1, 3.5, 1.4, 0.2]] if number % 2 else [[6.3, 3.3, 6.0, 2.5]], "f4"))
    shown = inferq("predict", *names, "--json")
    answers = list(map(json.loads, shown.stdout.splitlines()))
    assert [answer["file"] for answer in answers] == list(map(str, names))
    assert [answer["result"]["prediction"] for answer in answers] == [2, 0] * 10
    assert len(inferq("predict", *names[:3], "--no-wait").stdout.split()) == 3

    names[1].write_text("[[1, 2]]")
    shown = inferq("predict", *names[:2], tmp_path / "missing.png", names[3])
    assert shown.returncode == 1
    assert [line for line in shown.stdout.splitlines() if line.endswith(".npy:")] == [
        f"{names[0]}:",
        f"{names[3]}:",
    ]
    for words in (f"{names[1]}: ", "missing.png: ", "cannot be read"):
        assert words in shown.stderr
    shown = inferq("predict", names[0], names[3], "--model", "nosuch")
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (3, "", 1)
    assert "Several jobs are of several files" in inferq("predict", DATA, names[0]).stderr


def test_file_on_standard_input_is_sent_as_it_is(service, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[5.1, 3.5, 1.4, 0.2]], "f4"))
    command = [sys.executable, "-m", "inferq", "predict", "-", "--url", service]
    with (tmp_path / "x.npy").open("rb") as file:
        shown = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=60, check=True)
    assert "setosa" in shown.stdout


def test_result_is_printed_saved_and_piped(inferq, service, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[5.1, 3.5, 1.4, 0.2]], "f4"))
    job_id = inferq("predict", tmp_path / "x.npy", "--no-wait").stdout.strip()
    assert "setosa" in inferq("result", job_id).stdout
    shown = inferq("result", job_id, "--output", tmp_path / "y.npz")
    assert (shown.returncode, shown.stdout) == (0, ""), shown.stderr
    with np.load(tmp_path / "y.npz") as archive:
        probabilities = archive["probabilities"]
    command = [sys.executable, "-m", "inferq", "result", job_id, "--raw", "--name", "probabilities"]
    done = subprocess.run([*command, "--url", service], capture_output=True, timeout=60, check=True)
    assert done.stdout == probabilities.tobytes()
    inferq("result", job_id, "--raw", "--name", "probabilities", "-o", tmp_path / "y.f4")
    assert (tmp_path / "y.f4").read_bytes() == done.stdout
    for arguments, words in (
        (("--output", tmp_path / "y.txt"), "must end in one of"),
        (("--output", tmp_path / "y.npy"), "Choose it"),
        (("--output", tmp_path / "y.npy", "--name", "nosuch"), "no output of the result"),
        (("--raw",), "choose one of"),
        (("--name", "probabilities"), "--name is for"),
    ):
        shown = inferq("result", job_id, *arguments)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert words in shown.stderr


def test_job_is_followed_by_its_id(inferq):
    job_id = inferq("predict", DATA, "--no-wait").stdout.strip()
    assert "setosa" in inferq("job", "wait", job_id).stdout
    assert inferq("job", "watch", job_id).stdout.splitlines()[-1] == "completed"
    assert json.loads(inferq("job", "show", job_id).stdout)["status"] == "completed"
    assert job_id in inferq("jobs", "--status", "completed", "--json").stdout
    again = inferq("job", "cancel", job_id)
    assert (again.returncode, again.stdout) == (1, "")


def test_versions_are_shown_and_a_model_without_folders_of_them_has_none_to_promote(inferq):
    shown = inferq("models", "show", "iris")
    assert shown.stdout.split()[-5:] == ["96a938666450", "yes", "100%", "1", "96a938666450"]
    assert inferq("models", "rollout", "iris").stdout.startswith("iris: version 96a938666450 serves")
    refused = inferq("models", "promote", "iris", "96a938666450")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Put each into a folder of its own" in refused.stderr
    assert inferq("models", "rollback", "irsi").returncode == 3
    assert inferq("models", "rollout", "iris", "--share", "2").returncode == 1
    assert "No version of iris is a shadow" in inferq("models", "shadow", "iris").stdout


def test_models_and_queue_are_shown(inferq):
    assert "FP32" in inferq("models").stdout
    assert json.loads(inferq("models", "iris", "--json").stdout)["name"] == "iris"
    assert "iris" in inferq("queue").stdout
    assert "models" in json.loads(inferq("queue", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("predict", "[[1, 2]]"), 1, "expects 4"),
        (("predict", "[[1, "), 1, "is not JSON"),
        (("predict",), 1, "Give the data"),
        (("predict", "--file", "/nonexistent.csv"), 1, "cannot be read"),
        (("predict", DATA, "--model", "nosuch"), 3, "no model 'nosuch'"),
        (("predict", DATA, "--priority", "urgent"), 2, "urgent"),
        (("job", "show", "nosuch"), 3, "no job 'nosuch'"),
    ],
)
def test_failures_are_one_line_and_an_exit_code(inferq, arguments, code, words):
    shown = inferq(*arguments)
    assert (shown.returncode, shown.stdout) == (code, "")
    assert words in shown.stderr
    assert "Traceback" not in shown.stderr


def test_service_out_of_reach_is_exit_code_5(inferq):
    shown = inferq("queue", url="http://127.0.0.1:1")
    assert shown.returncode == 5
    assert "did not answer" in shown.stderr


def test_waiting_jobs_of_a_model_are_cancelled(inferq, redis_server, service):
    with redis_server.client() as client:
        for number in range(3):
            client.set(f"job:waiting-{number}:data", "[]")
            client.lpush("queue:gone", f"waiting-{number}")
    assert inferq("jobs", "cancel", "--model", "gone").stdout == "3 jobs are cancelled.\n"
    assert inferq("jobs", "cancel", "--model", "gone").stdout == "0 jobs are cancelled.\n"
    assert "cancelled" in inferq("jobs", "--model", "gone").stdout
    assert inferq("jobs", "cancel").returncode == 2


def test_failed_jobs_are_grouped_and_changed_together(inferq, redis_server, service):
    with redis_server.client() as client:
        for number in range(3):
            client.set(f"job:unserved-{number}:data", "[]")
            client.lpush("queue:unserved", f"unserved-{number}")
    inferq("jobs", "cancel", "--model", "unserved")
    [group] = map(json.loads, inferq("jobs", "errors", "--model", "unserved", "--json").stdout.splitlines())
    assert (group["count"], group["error_kind"]) == (3, "cancelled")
    assert "cancelled" in inferq("jobs", "errors", "--model", "unserved").stdout

    found = ("--error-kind", "cancelled", "--model", "unserved")
    assert len(inferq("jobs", *found, "--json").stdout.splitlines()) == 3
    assert inferq("jobs", "delete", *found, "--dry-run").stdout == "3 jobs are found.\n"
    asked = inferq("jobs", "delete", *found)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "Say --yes" in asked.stderr
    retried = inferq("jobs", "retry", *found, "--id-prefix", "unserved-1", "--yes")
    assert (retried.returncode, retried.stdout) == (0, "1 of 1 jobs: retry done.\n")
    assert inferq("jobs", "delete", *found, "--yes").stdout == "2 of 2 jobs: delete done.\n"
    assert inferq("jobs", "delete", *found).stdout == "0 jobs are found.\n"
    assert inferq("jobs", "delete", "--yes").returncode == 1
    inferq("jobs", "cancel", "--model", "unserved")


HOSTILE = "evil\x1b]0;t\x07\x1b[2J\x9b31m\u202e"


@pytest.fixture
def lonely(redis_server, service):
    """Models that are announced though no worker serves them; the name of one would harm a terminal."""
    with redis_server.client() as client:
        document = json.loads(client.hget("models", "iris"))
        for name in ("lonely", HOSTILE):
            client.hset("models", name, json.dumps(document | {"name": name, "description": HOSTILE}))
        yield client
        client.hdel("models", "lonely", HOSTILE)


def until_known(inferq, name):
    wait_until(lambda: name in inferq("models", "--json").stdout, 60, "the model")


def test_csv_files_are_read_by_the_models_document_and_what_was_assumed_is_said(inferq, tmp_path):
    file = tmp_path / "data.csv"
    file.write_text(
        "petal length (cm);petal width (cm);sepal length (cm);sepal width (cm)\r\n6.0;2.5;6.3;3.3\r\n"
    )
    shown = inferq("predict", "--file", file, "--json")
    assert json.loads(shown.stdout)["class_name"] == "virginica"
    assert "separated by semicolons" in shown.stderr
    assert "The first line is a header" in shown.stderr
    file.write_text("0,1,2,3\n6.3,3.3,6.0,2.5\n")
    shown = inferq("predict", "--file", file)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "--header" in shown.stderr
    assert (
        json.loads(inferq("predict", "--file", file, "--json", "--header").stdout)["class_name"]
        == "virginica"
    )
    assert len(json.loads(inferq("predict", "-f", file, "--json", "--no-header").stdout)["class_name"]) == 2
    assert "for .csv files" in inferq("predict", DATA, "--header").stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_lacks_a_letter_is_no_traceback_and_json_is_whole(inferq, lonely, encoding):
    lonely.hset("models", "lonely", lonely.hget("models", "lonely").decode().replace("setosa", "花").encode())
    until_known(inferq, "花")
    for arguments in (
        ("models",),
        ("models", "lonely"),
        ("models", "lonely", "--json"),
        ("predict", "--help"),
    ):
        shown = inferq(*arguments, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert (shown.returncode, shown.stderr) == (0, ""), arguments
    shown = inferq("models", "lonely", "--json", PYTHONIOENCODING=encoding)
    assert json.loads(shown.stdout)["class_names"][0] == "花"


def test_control_characters_of_others_never_reach_the_output(inferq, lonely, redis_server):
    lonely.set("job:evil:data", DATA)
    lonely.set("job:evil:result", json.dumps({"text": HOSTILE}, ensure_ascii=False))
    lonely.set("job:evil:status", "completed")
    lonely.set("job:bad:error", HOSTILE)
    lonely.set("job:bad:status", "failed")
    lonely.hset("worker:evil", mapping={"host": HOSTILE, "pid": "1", "models": json.dumps([HOSTILE])})
    until_known(inferq, "evil")
    commands = [
        ("job", "show", "evil"),
        ("job", "show", "evil", "--json"),
        ("job", "wait", "evil"),
        ("job", "wait", "bad"),
        ("job", "watch", "bad"),
        ("job", "show", HOSTILE),
        ("jobs",),
        ("jobs", "--json"),
        ("queue",),
        ("queue", "--json"),
        ("models",),
        ("models", "lonely"),
        ("models", "--json"),
        ("predict", DATA, "--model", HOSTILE, "--wait-timeout", "1.1"),
        ("predict", "[[1]]", "--model", HOSTILE),
    ]
    shown = [inferq(*arguments) for arguments in commands]
    dead = [("dead", "list"), ("dead", "list", "--json"), ("dead", "show", "bad"), ("dead", "retry", HOSTILE)]
    shown += [inferq(*arguments, "--redis-url", redis_server.url, url=None) for arguments in dead]
    for arguments, one in zip([*commands, *dead], shown, strict=True):
        assert "Traceback" not in one.stderr, arguments
        assert not set("\x1b\x07\x9b\u202e") & set(one.stdout + one.stderr), arguments
    assert json.loads(shown[1].stdout)["result"] == {"text": HOSTILE}
    lonely.delete(
        "job:evil:data",
        "job:evil:result",
        "job:evil:status",
        "job:bad:error",
        "job:bad:status",
        "worker:evil",
    )


def test_predict_says_that_no_worker_serves_the_model(inferq, lonely):
    until_known(inferq, "lonely")
    shown = inferq("predict", DATA, "--model", "lonely", "--wait-timeout", "1.5")
    assert (shown.returncode, shown.stdout) == (4, "")
    waits, up = shown.stderr.splitlines()
    assert "none serves the model 'lonely'" in waits
    assert "within 1.5 s" in up
    job_id = up.split()[-1]
    assert json.loads(inferq("job", "show", job_id, "--json").stdout)["status"] == "pending"
    assert f"inferq job wait {job_id}" in up


def test_interrupted_predict_says_which_job_goes_on(service, inferq, lonely):
    until_known(inferq, "lonely")
    command = [sys.executable, "-m", "inferq", "predict", DATA, "--model", "lonely", "--url", service]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        job_id = process.stderr.readline().split()[2]  # it waits for a worker
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert error == f"inferq: job {job_id} goes on: inferq job wait {job_id}\n"
    assert json.loads(inferq("job", "show", job_id, "--json").stdout)["status"] == "pending"


@pytest.mark.parametrize(
    "arguments", [("models", "iris"), ("queue",), ("queue", "--json"), ("predict", DATA)]
)
def test_reader_that_goes_away_is_no_traceback(service, arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "inferq", *arguments, "--url", service]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [("models", "iris"), ("queue",)])
def test_full_disk_is_a_clear_word(service, arguments):
    command = [sys.executable, "-m", "inferq", *arguments, "--url", service]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "inferq: the output cannot be written: No space left on device.\n"


def test_wrong_address_is_named(inferq):
    shown = inferq("queue", url="http://127.0.0.1:1")
    assert "at http://127.0.0.1:1 did not answer" in shown.stderr
    shown = inferq("queue", url="http://127.0.0.1:1", http_proxy="http://127.0.0.1:9")
    assert "http://127.0.0.1:9, the proxy that http_proxy" in shown.stderr
