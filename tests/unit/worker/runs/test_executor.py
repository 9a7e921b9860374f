import threading
from concurrent.futures import Future
from itertools import chain
from types import SimpleNamespace

import numpy as np
import orjson
import pytest

from inferq.errors import InvalidInputError, ModelError, ResultTooLargeError, TimedOutError
from inferq.jobs import ClaimedJob
from inferq.models.repository.model_folder import load_model
from inferq.observability.traces import Traces
from inferq.rollout import Rollout
from inferq.settings import Settings
from inferq.worker.loading.model_pool import ModelPool
from inferq.worker.runs import batch_planner, job_decoding
from inferq.worker.runs import executor as executor_module
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.watchdog import Watchdog
from inferq.worker.serving.served_models import NotServedError, ServedModels, ServedTable
from tests.models import serve
from tests.onnx_models import write_factor, write_failing_model, write_slow_loop, write_widths
from tests.servers import wait_until
from tests.tensors import make_npy, read_outputs


@pytest.fixture
def watchdog():
    watchdog = Watchdog(60.0, lambda _: None)
    watchdog.start()
    yield watchdog
    watchdog.stop()


@pytest.fixture
def make_executor(watchdog):
    def make(folder, traces=None, fetching=None, **settings):
        chosen = Settings(**settings)
        return Executor(serve(folder, chosen), watchdog, chosen, traces=traces, fetching=fetching)

    return make


def make_jobs(model, *data, timeout_seconds=None):
    return [
        ClaimedJob(
            id=str(number),
            model=model,
            data=each,
            attempt=1,
            token="token",
            timeout_seconds=timeout_seconds,
        )
        for number, each in enumerate(data)
    ]


def test_outcome_of_each_job_is_its_result_or_its_error(make_executor, tmp_path):
    executor = make_executor(write_failing_model(tmp_path / "table"))
    jobs = make_jobs("table", b"[1]", b"[99]", b"[2, 0]", b'["x"]', b"no json")
    outcomes = {outcome.job.id: outcome for outcome in executor.run(jobs)}
    assert orjson.loads(outcomes["0"].result) == {"outputs": {"entry": [20]}}
    assert orjson.loads(outcomes["2"].result) == {"outputs": {"entry": [30, 10]}}
    assert [type(outcomes[number].error) for number in "134"] == [
        ModelError,
        InvalidInputError,
        InvalidInputError,
    ]


def test_result_beyond_the_limit_is_an_error(make_executor, tmp_path):
    executor = make_executor(write_failing_model(tmp_path / "table"), max_result_bytes=40)
    small, large = executor.run(make_jobs("table", b"[1]", b"[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"))
    assert small.error is None
    assert isinstance(large.error, ResultTooLargeError)


def test_outcome_tells_how_long_the_run_took_and_how_many_jobs_shared_it(make_executor, tmp_path):
    executor = make_executor(
        write_failing_model(tmp_path / "table"), max_result_bytes=40, batch_budget_seconds=60
    )
    never_ran, *shared = executor.run(
        make_jobs("table", b"[1]", b"[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", b"no json")
    )
    assert (never_ran.run_seconds, never_ran.batch_jobs) == (0.0, 0)
    assert [outcome.error is None for outcome in shared] == [True, False]
    [(seconds, jobs)] = {(outcome.run_seconds, outcome.batch_jobs) for outcome in shared}
    assert jobs == 2
    assert seconds > 0
    split = executor.run(make_jobs("table", b"[99]", b"[1]"))  # each by itself, as one fails their batch
    assert [outcome.batch_jobs for outcome in split] == [1, 1]
    assert split[0].run_seconds != split[1].run_seconds


def test_inputs_and_results_are_not_all_in_memory_together(make_executor, tmp_path, monkeypatch):
    monkeypatch.setattr(job_decoding, "_MOST_INPUT_BYTES", 30_000)
    monkeypatch.setattr(executor_module, "MOST_OUTPUT_BYTES", 30_000)
    monkeypatch.setattr(batch_planner, "MOST_OUTPUT_BYTES", 30_000)
    executor, stored, stored_before = (
        make_executor(write_widths(tmp_path / "wide"), batch_budget_seconds=60),
        [],
        [],
    )
    model = executor._served.table.versions["wide"].model
    read = model.read
    model.read = lambda data: stored_before.append(len(stored)) or read(data)
    datas = [make_npy(np.full((1, 2_500), number, np.float32)) for number in range(11)]
    last = executor.run(make_jobs("wide", *datas), stored.append)
    outcomes = [*chain.from_iterable(stored), *last]
    assert [outcome.batch_jobs for outcome in outcomes] == [3, 3, 3, 1] * 2 + [3] * 3
    assert [len(some) for some in (*stored, last)] == [3, 4, 4]
    assert stored_before == [0] * 4 + [1] * 4 + [2] * 3
    for number, outcome in enumerate(sorted(outcomes, key=lambda outcome: int(outcome.job.id))):
        np.testing.assert_array_equal(read_outputs(outcome.result)["y"], np.full((1, 2_500), 2 * number))


def test_jobs_that_name_files_hold_up_no_others(make_executor, tmp_path):
    url, files, asked = "https://example.com/x.npy", Future(), []
    fetching = SimpleNamespace(fetch=lambda remote_files: asked.append(remote_files[0].url) or files)
    executor = make_executor(write_factor(tmp_path / "scale", 2), fetching=fetching)
    awaited, other = make_jobs("scale", b'{"url": "%b"}' % url.encode(), b"[[1]]")

    assert [outcome.result for outcome in executor.run([awaited, other])] == [b'{"outputs":{"y":[[2.0]]}}']
    assert (asked, awaited in executor.awaited, other in executor.awaited) == ([url], True, False)
    assert executor.awaited.take() == ([], [])
    files.set_result({url: make_npy(np.full((1, 1), 4, np.float32))})
    assert executor.awaited.take() == ([awaited], [])
    assert [outcome.result for outcome in executor.run([awaited])] == [b'{"outputs":{"y":[[8.0]]}}']
    assert executor.awaited.find_files(awaited) is None, "they are freed"


def test_queue_with_many_jobs_that_wait_for_files_is_left_out_of_claims(make_executor, tmp_path):
    fetching = SimpleNamespace(fetch=lambda _: Future())
    executor = make_executor(write_factor(tmp_path / "scale", 2), fetching=fetching)
    jobs = make_jobs("scale", *[b'{"url": "https://example.com/x.npy"}'] * 64)
    executor.run(jobs[:63])
    assert executor.plan_limits().keys() == {"scale"}
    executor.run(jobs[63:])
    assert executor.plan_limits() == {}
    executor.awaited.give_up(jobs[5])
    assert executor.awaited.take() == ([], [jobs[5]])
    assert executor.plan_limits().keys() == {"scale"}


def test_jobs_of_one_claim_run_on_two_versions_though_one_alone_is_kept_in_memory(watchdog, tmp_path):
    settings, parts = Settings(), {}
    for version, factor in (("1", 2), ("2", 3)):
        [parts[version]] = serve(
            write_factor(tmp_path / version / "scale", factor), settings
        ).table.versions.values()
    versions = {"scale": parts["1"], "scale@1": parts["1"], "scale@2": parts["2"]}
    table = ServedTable(versions, rollouts={"scale": Rollout(shares={"2": 0.5})})
    pool = ModelPool(1, lambda served: load_model(served.folder.path), lambda _: None)
    executor = Executor(ServedModels(table), watchdog, settings, pool=pool)
    executor.plan_limits()
    results = {outcome.result for outcome in executor.run(make_jobs("scale", *[b"[[1]]"] * 20))}
    assert results == {b'{"outputs":{"y":[[2.0]]}}', b'{"outputs":{"y":[[3.0]]}}'}


def test_run_that_takes_too_long_is_stopped(make_executor, tmp_path):
    executor = make_executor(write_slow_loop(tmp_path / "slow"))
    [outcome] = executor.run(make_jobs("slow", b"[2000000000]", timeout_seconds=0.1))
    assert isinstance(outcome.error, TimedOutError)
    assert outcome.run_seconds > 0.1
    assert outcome.batch_jobs == 1
    assert outcome.error.message == "The job timed out after 0.1 s."


def test_cancelled_job_has_no_outcome(make_executor, watchdog, tmp_path):
    executor = make_executor(write_slow_loop(tmp_path / "slow"))
    jobs, outcomes = make_jobs("slow", b"[2000000000]"), [None]
    thread = threading.Thread(target=lambda: outcomes.__setitem__(slice(None), executor.run(jobs)))
    thread.start()
    wait_until(lambda: watchdog.is_busy, what="the run")
    while thread.is_alive():
        watchdog.cancel(jobs[0])
        thread.join(0.01)
    assert outcomes == []


def test_slow_jobs_are_claimed_one_by_one_and_quick_ones_many_at_once(make_executor, tmp_path):
    folder = write_failing_model(tmp_path / "table")
    assert make_executor(folder).plan_limits()["table"] > 1
    assert make_executor(folder, simulated_run_seconds=1).plan_limits() == {"table": 1}


def test_timeout_is_that_of_the_job_else_of_the_model_else_of_the_settings(make_executor, tmp_path):
    folder = write_failing_model(tmp_path / "table")
    [of_its_own], [plain] = (
        make_jobs("table", b"[1]", timeout_seconds=3.0),
        make_jobs("table", b"[1]"),
    )
    executor = make_executor(folder, run_timeout_seconds=5)
    assert (executor.find_timeout(of_its_own), executor.find_timeout(plain)) == (3.0, 5.0)
    (folder / "model.toml").write_text("timeout_seconds = 4")
    executor = make_executor(folder, run_timeout_seconds=5)
    assert (executor.find_timeout(of_its_own), executor.find_timeout(plain)) == (3.0, 4.0)


def test_each_run_is_a_span_with_its_error(make_executor, tmp_path, otlp_receiver):
    traces = Traces("inferq-test")
    traces.start()
    executor = make_executor(
        write_failing_model(tmp_path / "table"), traces, max_result_bytes=40, batch_budget_seconds=60
    )
    for data in ([b"[99]", b"[1]"], [b"[1]", b"[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"], [b"no json"]):
        executor.run(make_jobs("table", *data))
    traces.stop()
    assert [
        (span.attributes.get("messaging.batch.message_count", 1), span.attributes.get("error.type"))
        for span in otlp_receiver.spans
    ] == [(2, "model-error"), (1, "model-error"), (1, None), (2, "result-too-large"), (1, "invalid-input")]


def test_run_is_on_what_is_served_now_and_says_where_that_is_not_what_was_claimed_for(watchdog, tmp_path):
    settings = Settings()
    served = serve(write_failing_model(tmp_path / "table"), settings)
    executor = Executor(served, watchdog, settings)
    provenance = served.table.versions["table"].provenance
    [job] = make_jobs("table", b"[1]")
    for claimed_for, made_by in ((provenance, ""), ("other", provenance)):
        [outcome] = executor.run([job._replace(claimed_for=claimed_for)])
        assert (orjson.loads(outcome.result), outcome.made_by) == ({"outputs": {"entry": [20]}}, made_by)
    served.table = serve(write_widths(tmp_path / "other"), settings).table
    assert list(executor.plan_limits()) == ["other"]
    with pytest.raises(NotServedError):
        executor.run([job])
    assert executor.find_timeout(job) == settings.run_timeout_seconds


def test_jobs_of_two_claims_that_run_together_say_each_what_ran_it(watchdog, tmp_path):
    served = serve(write_failing_model(tmp_path / "table"), Settings())
    executor, provenance = Executor(served, watchdog, Settings()), served.table.find("table").provenance
    later, earlier = make_jobs("table", b"[1]", b"[2]")
    jobs = [later._replace(claimed_for=provenance), earlier._replace(claimed_for="other", token="earlier")]
    outcomes = executor.run(jobs)
    assert {outcome.job.id: outcome.made_by for outcome in outcomes} == {"0": "", "1": provenance}


def test_data_of_jobs_that_wait_for_files_is_not_taken_for_that_of_the_others(make_executor, tmp_path):
    fetching = SimpleNamespace(fetch=lambda _: Future())
    executor = make_executor(write_factor(tmp_path / "scale", 2), fetching=fetching)
    before = executor.plan_limits()
    padding = b" " * 200_000
    executor.run(make_jobs("scale", b"[[1]]", *[b'{"url": "https://example.com/x.npy"}' + padding] * 40))
    assert executor.plan_limits()["scale"] >= before["scale"]
