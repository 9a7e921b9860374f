"""The command line against a whole service."""

import json
import subprocess
import sys

import numpy as np
import pytest

DATA = "[[5.1, 3.5, 1.4, 0.2]]"


@pytest.fixture
def inferq(service):
    def run(*arguments, standard_input=None, url=service):
        return subprocess.run(
            [sys.executable, "-m", "inferq", *map(str, arguments), "--url", url],
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_predict_prints_a_table_for_people_and_json_for_programs(inferq):
    shown = inferq("predict", DATA)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "setosa" in shown.stdout
    assert json.loads(inferq("predict", DATA, "--json").stdout)["class_name"] == "setosa"


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


def test_job_is_followed_by_its_id(inferq):
    job_id = inferq("predict", DATA, "--no-wait").stdout.strip()
    assert "setosa" in inferq("job", "wait", job_id).stdout
    assert inferq("job", "watch", job_id).stdout.splitlines()[-1] == "completed"
    assert json.loads(inferq("job", "show", job_id).stdout)["status"] == "completed"
    assert job_id in inferq("jobs", "--status", "completed", "--json").stdout
    again = inferq("job", "cancel", job_id)
    assert (again.returncode, again.stdout) == (1, "")


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
