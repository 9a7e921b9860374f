import shutil
from dataclasses import replace
from datetime import UTC, datetime

from inferq.doctor.finding import Level
from inferq.doctor.model_checks import check_announced, check_repository, check_restart
from inferq.jobs import WorkerInfo
from inferq.settings import Settings
from tests.unit.test_documents import ROOT


def make_worker(host="here", left_out=(), **versions):
    return WorkerInfo(
        *("worker-1", host, 1, tuple(versions), datetime.now(UTC)),
        left_out=dict.fromkeys(left_out, "It is damaged."),
        model_versions=versions,
    )


def judge(findings):
    return [(one.level.value, one.message) for one in findings if one.level is not Level.OK]


def test_repository_is_read_as_workers_find_it(tmp_path):
    shutil.copytree(ROOT / "models/iris", tmp_path / "iris")
    for name in ("damaged", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "damaged/model.onnx").write_bytes(b"no model")
    shutil.copytree(ROOT / "models/iris", tmp_path / "config", dirs_exist_ok=True)
    (tmp_path / "config/model.toml").write_text("descripton = 'x'")
    (tmp_path / "loose.onnx").write_bytes(b"")
    versions, found = check_repository(Settings(models_dir=tmp_path))
    assert set(versions) == {"iris"}
    assert [level for level, _ in judge(found)] == ["warning"] * 3
    shown = " ".join(message for _, message in judge(found))
    for words in ("is no ONNX model", "'descripton' is no key", "loose: It has no folder of its own."):
        assert words in shown
    _, found = check_repository(Settings(models_dir=tmp_path, strict_models=True))
    assert [level for level, _ in judge(found)] == ["error"] * 3


def test_repository_that_is_named_and_is_not_there_is_an_error(tmp_path, monkeypatch):
    [[level, message]] = judge(check_repository(Settings(models_dir=tmp_path / "none"))[1])
    assert level == "error"
    assert "is no folder" in message
    monkeypatch.chdir(tmp_path)
    assert judge(check_repository(Settings())[1]) == []


def test_folder_without_models_is_an_error(tmp_path):
    [[level, message]] = judge(check_repository(Settings(models_dir=tmp_path))[1])
    assert level == "error"
    assert "no model that can be served" in message


def test_models_that_are_left_out_not_served_or_served_in_two_versions_are_named():
    workers = [make_worker(a="1", left_out=["bad"]), make_worker(a="2")]
    found = judge(
        check_announced(["a", "gone"], workers, {"bad": "It is damaged."}, Settings(default_model="a"))
    )
    assert found == [
        ("error", "bad is left out by its workers: It is damaged."),
        ("warning", "gone is announced, but no live worker serves it."),
        ("warning", "Workers serve different versions of a: 1, 2."),
    ]


def test_model_that_is_served_as_it_was_before_its_files_broke_is_named():
    worker = replace(make_worker(a="1"), left_out={"a": "It is damaged. What was loaded before is served."})
    found = judge(check_announced(["a"], [worker, worker], {}, Settings(default_model="a")))
    assert found == [
        ("warning", "a, as workers have found it: It is damaged. What was loaded before is served.")
    ]


def test_versions_are_no_models_of_their_own():
    worker = make_worker(**{"a": "2", "a@1": "1", "a@2": "2"})
    [finding] = check_announced(["a", "a@1", "a@2", "a@0"], [worker], {}, Settings())
    assert (finding.level, finding.message) == (Level.OK, "Live workers serve a.")


def test_default_model_that_nobody_serves_is_warned_of():
    assert judge(check_announced(["a"], [make_worker(a="1")], {}, Settings())) == []
    [[level, message]] = judge(check_announced(["a"], [make_worker(a="1")], {}, Settings(default_model="b")))
    assert level == "warning"
    assert "default model 'b'" in message


def test_model_that_workers_of_this_machine_read_before_it_changed_is_named():
    workers = [make_worker(a="1"), make_worker(host="there", a="3"), make_worker(left_out=["a"])]
    assert judge(check_restart({"a": "1"}, workers, "here")) == []
    [[level, message]] = judge(check_restart({"a": "2"}, workers, "here"))
    assert level == "warning"
    assert "workers of this machine serve 1" in message
    [[_, message]] = judge(check_restart({"a": "1", "new": "5"}, workers[:1], "here"))
    assert "serve none" in message
