from inferq.observability.request_metrics import RequestMetrics


def test_durations_are_counted_up_to_each_bound_included():
    metrics = RequestMetrics()
    for seconds in (0.001, 0.005, 0.0051, 10.0, 10.1):
        metrics.request_ended("GET", "/models", 200, seconds)
    [reading] = metrics.read()
    assert reading.labels == ("GET", "/models", "200")
    assert dict(zip((*reading.value.bounds, "more"), reading.value.counts, strict=True)) == {
        **dict.fromkeys(reading.value.bounds, 0),
        0.005: 2,
        0.01: 1,
        10.0: 1,
        "more": 1,
    }
    assert reading.value.total == 0.001 + 0.005 + 0.0051 + 10.0 + 10.1


def test_methods_that_clients_invent_are_counted_as_one():
    metrics = RequestMetrics()
    for number in range(1000):
        metrics.request_ended(f"BREW{number}", "", 405, 0.1)
    [reading] = metrics.read()
    assert (reading.labels, sum(reading.value.counts)) == (("_OTHER", "", "405"), 1000)
