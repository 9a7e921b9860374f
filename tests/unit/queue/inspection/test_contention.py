"""How long jobs of other models keep the workers of a model busy."""

import time
from itertools import product

import pytest

from inferq.jobs import Pace, Priority
from inferq.queue.inspection.claim_simulation import HIGHER_THAN
from inferq.queue.inspection.contention import Contention
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, Workload

PACES = {"a": Pace(0.1, 0.2, 4), "b": Pace(0.0, 0.5, 1), "c": Pace(1.0, 0.01, 100), "d": Pace(0.0, 2.0, 2)}
SERVED = ["ab", "abc", "c", "d"]
LEFT = {
    (model, priority): count
    for (model, priority), count in zip(
        product("abc", Priority), [3, 100, 0, 0, 50, 1000, 7, 9, 9], strict=True
    )
}


def add_up(model, priority, jobs_before):
    """Adds up each other model by itself."""
    seconds = 0.0
    workers = [served for served in SERVED if model in served]
    for other in set("abcd") - {model}:
        share = sum(other in served for served in workers) / len(workers)
        rate = sum(other in served for served in SERVED) / (
            PACES[other].estimate_seconds(PACES[other].most_jobs) / PACES[other].most_jobs
        )
        most = jobs_before * PACES[other].most_jobs / PACES[model].most_jobs
        jobs = min(most, LEFT.get((other, priority), 0))
        jobs += sum(LEFT.get((other, higher), 0) for higher in HIGHER_THAN[priority])
        seconds += share * jobs / rate
    return seconds


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("model", "abcd")
def test_others_have_as_many_claims_as_a_model_until_they_have_nothing_left(model, priority):
    contention = Contention(
        [{one: PACES[one] for one in served} for served in SERVED],
        {one: pace.most_jobs for one, pace in PACES.items()},
        LEFT,
        HIGHER_THAN,
    )
    for jobs_before in (0, 1, 3, 10, 100, 10_000):
        found = contention.measure_others(model, priority, jobs_before)
        assert found == pytest.approx(add_up(model, priority, jobs_before), abs=1e-9)


def test_backlogs_of_a_thousand_models_take_no_minute():
    paces = {f"model-{number}": Pace(0.01, 0.01, 10) for number in range(1000)}
    load = ModelLoad(dict.fromkeys(Priority, 2000))
    workers = [LiveWorker(f"w{number}", tuple(paces), paces) for number in range(20)]
    forecast = Forecast(Workload(1.0e9, dict.fromkeys(paces, load), workers), 0.1)
    began = time.process_time()
    assert all(forecast.measure_backlog(model, 1.0, 5.0).seconds for model in paces)
    assert time.process_time() - began < 15  # 0.1 s; it was a minute
