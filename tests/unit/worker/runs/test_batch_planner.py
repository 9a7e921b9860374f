import math
import subprocess
import sys

import numpy as np
import pytest

from inferq.jobs import ClaimedJob
from inferq.models.decoded_job import DecodedJob
from inferq.worker.runs.batch import Batch
from inferq.worker.runs.batch_planner import (
    MAX_JOBS,
    MOST_OUTPUT_BYTES,
    BatchPlanner,
    Work,
    plan_jobs,
    plan_rows,
)
from inferq.worker.runs.run_cost import LinearCost, RunCost

BUDGET = 0.05

# cost curves as they were recorded of real models: rows to seconds
CURVES = {
    "iris": lambda rows: 15e-6 + 0.2e-6 * rows,
    "linear, 1 ms a row": lambda rows: 0.0001 + 0.001 * rows,
    "linear, 30 ms a row": lambda rows: 0.001 + 0.03 * rows,
    "linear, 2 s a row": lambda rows: 0.01 + 2.0 * rows,
    "flat, 20 ms": lambda rows: 0.02 + 0.00001 * rows,
    "flat, 300 ms": lambda rows: 0.3 + 0.001 * rows,
    "steps of 16 rows, 4 ms each": lambda rows: 0.004 * math.ceil(rows / 16),
}


def learned(curve, runs=30, sizes=(1, 4)):
    """What a worker settles on whose queue is never empty."""
    cost = RunCost()
    for size in sizes:
        cost.add(size, curve(size))
    rows = 1
    for _ in range(runs):
        rows = min(MAX_JOBS, plan_rows(cost.estimate(), cost.most_rows, BUDGET))
        cost.add(rows, curve(rows))
    return rows


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("iris", MAX_JOBS, MAX_JOBS),
        ("linear, 1 ms a row", 40, 51),
        ("linear, 30 ms a row", 1, 1),
        ("linear, 2 s a row", 1, 1),
        ("flat, 20 ms", MAX_JOBS, MAX_JOBS),
        ("flat, 300 ms", 100, MAX_JOBS),
        ("steps of 16 rows, 4 ms each", MAX_JOBS, MAX_JOBS),
    ],
)
def test_batch_follows_the_cost_of_a_run(name, least, most):
    assert least <= learned(CURVES[name]) <= most


@pytest.mark.parametrize("name", ["linear, 30 ms a row", "linear, 2 s a row", "flat, 300 ms"])
def test_slow_model_of_which_only_single_runs_are_known_is_run_singly(name):
    assert learned(CURVES[name], sizes=(1,)) == 1


@pytest.mark.parametrize("name", ["iris", "linear, 1 ms a row", "flat, 20 ms"])
def test_size_grows_where_only_single_runs_are_known(name):
    assert learned(CURVES[name], sizes=(1,)) >= 40


def test_run_is_at_most_four_times_as_large_as_any_before():
    cost = RunCost()
    cost.add(2, 0.000_1)
    assert plan_rows(cost.estimate(), cost.most_rows, BUDGET) == 8


def test_batch_over_the_budget_takes_at_most_twice_the_time_of_a_single_run():
    cost = LinearCost(0.3, 0.001)
    rows = plan_rows(cost, 10_000, BUDGET)
    assert cost.seconds(rows) <= 2 * cost.seconds(1) < cost.seconds(rows + 1)


def test_nothing_known_gives_one_row():
    assert plan_rows(RunCost().estimate(), 0, BUDGET) == 1


def test_one_slow_run_among_many_is_forgotten():
    cost, curve = RunCost(), CURVES["linear, 1 ms a row"]
    for _ in range(20):
        for size in (1, 4, 40):
            cost.add(size, curve(size))
    cost.add(40, 4.0)
    assert plan_rows(cost.estimate(), 40, BUDGET) < 30
    sizes = []
    for _ in range(300):
        sizes.append(plan_rows(cost.estimate(), cost.most_rows, BUDGET))
        cost.add(sizes[-1], curve(sizes[-1]))
    assert 40 <= sizes[-1] <= 51


def test_model_that_becomes_slower_gets_smaller_batches():
    cost = RunCost()
    for _ in range(50):
        cost.add(40, 0.04)
    for _ in range(300):
        rows = plan_rows(cost.estimate(), cost.most_rows, BUDGET)
        cost.add(rows, 0.01 * rows)
    assert 4 <= rows <= 6


@pytest.mark.parametrize(
    ("rows", "rows_per_job", "jobs"), [(1, 1, 1), (50, 1, 50), (1000, 1, MAX_JOBS), (50, 10, 5), (50, 1e9, 1)]
)
def test_jobs_are_as_many_as_have_that_many_rows(rows, rows_per_job, jobs):
    assert plan_jobs(rows, rows_per_job) == jobs


def make_batch(*widths_and_rows):
    """A batch of jobs whose inputs are only a width, each with so many rows."""
    batch = Batch()
    for number, (width, rows) in enumerate(widths_and_rows):
        decoded = DecodedJob({"x": np.zeros((rows, width))}, rows)
        batch.add(ClaimedJob(str(number), "m", b"", 1, "token"), decoded)
    return batch


def get_width(job):
    return job.inputs["x"].shape[1]


def make_planner(*, shares_runs=True, most_rows=100):
    """A planner of a fast model whose runs may have `2 * most_rows` rows."""
    planner = BatchPlanner(get_width, BUDGET, shares_runs=shares_runs)
    planner.add_cost(most_rows // 4, 1e-6)
    planner.add_cost(1, 1e-6)
    return planner


def ids(batches):
    return [[job.id for job in batch.jobs] for batch in batches]


def test_jobs_that_are_alike_share_a_batch():
    planned = make_planner().plan_batches(make_batch((1, 1), (2, 2), (1, 3)))
    assert ids(planned) == [["0", "2"], ["1"]]
    assert [([get_width(job) for job in batch.decoded], batch.total_rows) for batch in planned] == [
        ([1, 1], 4),
        ([2], 2),
    ]


def test_batch_has_at_most_twice_the_rows_of_a_planned_run_unless_one_job_has_more():
    planned = make_planner(most_rows=100).plan_batches(
        make_batch((1, 150), (1, 50), (1, 1), (1, 500), (1, 1))
    )
    assert ids(planned) == [["0", "1"], ["2"], ["3"], ["4"]]


def test_model_whose_jobs_must_not_share_a_run_gets_them_one_by_one():
    planner = make_planner(shares_runs=False)
    assert ids(planner.plan_batches(make_batch((1, 1), (1, 1)))) == [["0"], ["1"]]
    assert planner.plan_claim() == MAX_JOBS  # all the same: they are run one after the other


def test_planner_of_which_nothing_is_known_claims_one_job():
    for shares_runs in (True, False):
        assert BatchPlanner(get_width, BUDGET, shares_runs=shares_runs).plan_claim() == 1


def test_jobs_of_many_rows_are_claimed_fewer_at_a_time():
    planner = make_planner(most_rows=100)
    before = planner.plan_claim()
    for _ in range(50):
        planner.learn(Work(jobs=2, rows=100, runs=1), 1e-6)
    assert planner.plan_claim() < before / 4


@pytest.mark.parametrize("shares_runs", [True, False])
def test_jobs_with_much_data_or_long_results_are_claimed_fewer_at_a_time(shares_runs):
    for heavy in ({"data_bytes": 20_000_000}, {"result_bytes": 80_000_000}):
        planner = make_planner(shares_runs=shares_runs)
        planner.learn(Work(jobs=100, rows=100, runs=1, data_bytes=1_000, result_bytes=1_000), 1e-6)
        assert planner.plan_claim() == MAX_JOBS
        planner.learn(Work(jobs=20, rows=20, runs=1, **heavy), 1e-6)
        assert planner.plan_claim() == 8  # 8 MiB of data, 32 MiB of results
        planner.learn(Work(jobs=1, rows=1, runs=1, data_bytes=2**40, result_bytes=2**40), 1e-6)
        assert planner.plan_claim() == 1
        for _ in range(300):
            planner.learn(Work(jobs=100, rows=100, runs=1, data_bytes=1_000, result_bytes=1_000), 1e-6)
        assert planner.plan_claim() == MAX_JOBS


def test_run_has_no_more_rows_than_their_outputs_allow_unless_one_job_has_more():
    planner = BatchPlanner(get_width, BUDGET, shares_runs=True, output_bytes=MOST_OUTPUT_BYTES / 3)
    planner.add_cost(100, 1e-6)
    assert planner.plan_claim() == 3
    planned = planner.plan_batches(make_batch((1, 1), (1, 1), (1, 1), (1, 1), (1, 5), (1, 1)))
    assert ids(planned) == [["0", "1", "2"], ["3"], ["4"], ["5"]]


def test_rows_larger_than_any_before_are_taken_to_have_larger_outputs():
    planner = BatchPlanner(
        get_width, BUDGET, shares_runs=True, input_bytes=8, output_bytes=8 * MOST_OUTPUT_BYTES / 800
    )
    planner.add_cost(100, 1e-6)
    planned = planner.plan_batches(make_batch(*[(10, 1)] * 15, (1, 1)))
    assert [len(batch) for batch in planned] == [10, 5, 1]


def test_cost_of_several_runs_is_shared_among_them():
    planner = BatchPlanner(get_width, BUDGET, shares_runs=False)
    planner.learn(Work(jobs=4, rows=4, runs=4), 4 * BUDGET / 10)
    assert planner.plan_claim() == 10


def test_batch_is_split_into_its_jobs():
    singles = list(make_batch((1, 1), (2, 2)).split())
    assert [(get_width(*single.decoded), single.total_rows, len(single)) for single in singles] == [
        (1, 1, 1),
        (2, 2, 1),
    ]


def test_planning_does_without_onnx_runtime():
    code = "import sys, inferq.worker.runs.batch_planner; assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
