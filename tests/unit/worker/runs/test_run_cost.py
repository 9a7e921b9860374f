import pytest

from inferq.worker.runs.run_cost import LinearCost, RunCost


def test_linear_cost_is_learned_from_runs_of_two_sizes():
    cost = RunCost()
    for _ in range(50):
        for rows in (1, 64):
            cost.add(rows, 0.01 + 0.002 * rows)
    learned = cost.estimate()
    assert learned.fixed == pytest.approx(0.01)
    assert learned.per_row == pytest.approx(0.002)
    assert learned.seconds(10) == pytest.approx(0.03)
    assert cost.most_rows == 64


def test_runs_of_one_size_give_no_fixed_part():
    cost = RunCost()
    cost.add(4, 0.02)
    assert cost.estimate() == LinearCost(0.0, 0.005)


def test_nothing_is_known_before_the_first_run():
    assert RunCost().estimate() == LinearCost(0.0, 0.0)
    assert RunCost().most_rows == 0


def test_neither_part_of_the_cost_is_negative():
    cost = RunCost()
    for rows, seconds in ((1, 0.01), (10, 0.001), (100, 2.0), (1000, 0.5)):
        cost.add(rows, seconds)
        learned = cost.estimate()
        assert learned.fixed >= 0
        assert learned.per_row >= 0
