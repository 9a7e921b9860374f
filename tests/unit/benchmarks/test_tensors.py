import os
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from benchmarks.figures import figure_of
from benchmarks.processes import BenchmarkError
from benchmarks.tensors import payloads, peers, pictures
from benchmarks.tensors.callers import Connection, put_caller_load
from benchmarks.tensors.model_servers import FLOOR, FOLDER, SERVERS, ModelServer, RunningServer
from benchmarks.tensors.peer_environment import ENVIRONMENTS
from benchmarks.tensors.process_tree import end_rest, list_tree, measure_peak_bytes, measure_seconds
from benchmarks.tensors.tensor_report import others_table, servers_table, shorten, summarize
from benchmarks.tensors.tensor_targets import TENSOR_TARGETS, TensorTarget, judge_tensors

AT_LEAST = TensorTarget("trivial model", FOLDER, 0.33, FLOOR)
AT_MOST = TensorTarget("trivial model, processor time", FOLDER, 3, FLOOR, at_most=True)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
ALONE = TensorTarget("p99", FOLDER, 50, at_most=True)


def figures(**values: float):
    """One figure for each of these; `floor_` begins those of the synchronous endpoint."""
    return [
        figure_of(name.removeprefix("floor_").replace("_", " "), subject, [value], "ms")
        for name, value in values.items()
        for subject in [FLOOR if name.startswith("floor_") else FOLDER]
    ]


@pytest.mark.parametrize(("ours", "met"), [(33.0, True), (32.9, False)])
def test_a_tensor_target_is_a_ratio_to_another_of_the_same_run(ours, met):
    [verdict] = judge_tensors(figures(trivial_model=ours, floor_trivial_model=100.0), [AT_LEAST])
    assert verdict.met is met
    assert ("yes" in str(verdict)) is met


@pytest.mark.parametrize(("ours", "met"), [(50.0, True), (50.1, False)])
def test_a_tensor_target_alone_is_a_figure_that_may_not_be_passed(ours, met):
    [verdict] = judge_tensors(figures(p99=ours), [ALONE])
    assert (verdict.met, verdict.found) == (met, ours)


def test_a_tensor_target_without_both_figures_is_not_judged():
    verdicts = list(judge_tensors(figures(trivial_model=9.0), [AT_LEAST, ALONE]))
    assert [verdict.met for verdict in verdicts] == [None, None]
    assert summarize(verdicts) == "0 of 0 targets were met; 2 could not be judged."


def test_each_target_names_subjects_that_are_measured():
    names = {server.name for server in SERVERS}
    assert {target.subject for target in TENSOR_TARGETS} <= names
    assert {target.other for target in TENSOR_TARGETS} <= {*names, ""}


def test_each_environment_has_its_version_pinned_and_a_server():
    assert all("==" in environment.packages[0] for environment in ENVIRONMENTS.values())
    files = {path.name for path in Path(peers.__file__).parent.iterdir()}
    assert {f"{name}_server.py" for name in ENVIRONMENTS} <= files


def test_the_table_of_servers_begins_with_the_quickest_and_leaves_no_column_empty():
    suffixes = ("", ", p50", ", p99", ", processor time", ", memory")
    found = [
        figure_of(f"CNN{suffix}", subject, [value], "x")
        for subject, value in (("slow", 10.0), ("quick", 20.0))
        for suffix in suffixes
    ]
    head, _, *rows = servers_table(found, "CNN").splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| quick", "| slow"]
    assert {row.count("|") for row in rows} == {head.count("|")}
    assert len(others_table([*found, *figures(p99=3.0)]).splitlines()) == 3


def test_a_reason_fits_on_a_line_of_the_page():
    assert shorten("a\n | b  c") == "a b c"
    assert len(shorten("x" * 5000)) < 420


@pytest.mark.parametrize(
    "dialect", dict.fromkeys(server.dialect for server in SERVERS), ids=lambda dialect: dialect.name
)
def test_a_request_says_its_own_length(dialect):
    request = dialect.write("mean", payloads.make_pictures(1, 3, 8, 8))
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"


def test_an_answer_of_the_trivial_model_is_checked():
    picture = payloads.make_pictures(1, 3, 8, 8)
    right = picture[0].mean((1, 2))
    answer = b'{"outputs":[{"name":"output"}]}' + right.tobytes()
    assert payloads.is_right("mean", picture, payloads.V2_BINARY.read(answer))
    assert not payloads.is_right("mean", picture, (right + 1).tolist())


def serve(answers: bytes, times: int):
    """Answers each request of so many connections with these bytes; returns the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                connection.sendall(answers)

    def run() -> None:
        with server:
            for _ in range(times):
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
def test_an_answer_is_read_to_its_end(answer):
    connection = Connection(serve(answer, 1))
    assert [connection.ask(b"GET") for _ in range(2)] == [b"hello"] * 2
    connection.close()


def test_callers_stop_at_the_first_refusal_and_say_what_it_was():
    port = serve(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nwait", 1)
    with pytest.raises(BenchmarkError, match="503 busy: wait"):
        put_caller_load(port, b"GET", callers=1, warm_up=0, seconds=0.1, roots=[os.getpid()])


def test_callers_tell_what_they_saw_and_what_the_server_spent():
    port = serve(ANSWER, 2)
    load = put_caller_load(port, b"GET", callers=1, warm_up=0, seconds=0.05, roots=[os.getpid()])
    assert load.per_second > 0
    assert 0 < load.p50_ms <= load.p99_ms
    assert load.peak_bytes > 1e6
    assert load.cpu_ms >= 0


def test_a_tree_is_a_process_with_its_children_and_can_be_ended():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = list_tree([process.pid])
        assert len(tree) == 2
        assert measure_seconds([process.pid]) > 0
        assert measure_peak_bytes([process.pid]) > 1e6
        end_rest(tree)
    assert process.returncode == -9


def test_a_server_that_cannot_be_had_is_told_with_its_reason_and_the_others_are_measured(tmp_path):
    def start(_):
        raise BenchmarkError("uv pip failed: there is no such version")

    def start_constant(_):
        return nullcontext(RunningServer(serve(ANSWER, 40), (os.getpid(),), os.getpid()))

    dialect = payloads.Dialect("x", lambda *_: b"GET", lambda _: [])
    servers = [
        ModelServer("gone", start, dialect, ("cnn",)),
        ModelServer("here", start_constant, dialect, ("cnn",)),
    ]
    found, failures = pictures.measure(tmp_path, quick=True, servers=servers)
    assert failures == {"gone": "uv pip failed: there is no such version"}
    assert {(figure.measure, figure.subject) for figure in found} >= {("CNN", "here"), ("CNN, p99", "here")}
