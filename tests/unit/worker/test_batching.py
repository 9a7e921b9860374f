import math

import pytest

from inferq.worker.batching import MAX_JOBS, Line, RunCost, plan_jobs, plan_rows

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
        rows = min(MAX_JOBS, plan_rows(cost.line(), cost.most_rows, BUDGET))
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
    assert plan_rows(cost.line(), cost.most_rows, BUDGET) == 8


def test_batch_over_the_budget_takes_at_most_twice_the_time_of_a_single_run():
    line = Line(0.3, 0.001)
    rows = plan_rows(line, 10_000, BUDGET)
    assert line.seconds(rows) <= 2 * line.seconds(1) < line.seconds(rows + 1)


def test_nothing_known_gives_one_row():
    assert plan_rows(RunCost().line(), 0, BUDGET) == 1


def test_one_slow_run_among_many_is_forgotten():
    cost, curve = RunCost(), CURVES["linear, 1 ms a row"]
    for _ in range(20):
        for size in (1, 4, 40):
            cost.add(size, curve(size))
    cost.add(40, 4.0)
    assert plan_rows(cost.line(), 40, BUDGET) < 30
    sizes = []
    for _ in range(300):
        sizes.append(plan_rows(cost.line(), cost.most_rows, BUDGET))
        cost.add(sizes[-1], curve(sizes[-1]))
    assert 40 <= sizes[-1] <= 51


def test_model_that_becomes_slower_gets_smaller_batches():
    cost = RunCost()
    for _ in range(50):
        cost.add(40, 0.04)
    for _ in range(300):
        rows = plan_rows(cost.line(), cost.most_rows, BUDGET)
        cost.add(rows, 0.01 * rows)
    assert 4 <= rows <= 6


def test_neither_part_of_the_line_is_negative():
    cost = RunCost()
    for rows, seconds in ((1, 0.01), (10, 0.001), (100, 2.0), (1000, 0.5)):
        cost.add(rows, seconds)
        line = cost.line()
        assert line.fixed >= 0
        assert line.per_row >= 0


@pytest.mark.parametrize(
    ("rows", "rows_per_job", "jobs"), [(1, 1, 1), (50, 1, 50), (1000, 1, MAX_JOBS), (50, 10, 5), (50, 1e9, 1)]
)
def test_jobs_are_as_many_as_have_that_many_rows(rows, rows_per_job, jobs):
    assert plan_jobs(rows, rows_per_job) == jobs
