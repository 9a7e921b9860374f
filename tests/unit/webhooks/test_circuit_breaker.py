from inferq.webhooks.circuit_breaker import LONGEST_REST_SECONDS, CircuitBreakers


def test_origin_that_does_not_answer_rests_longer_each_time_and_then_is_called_once():
    origins, now, rests = CircuitBreakers(5.0), 0.0, []
    assert origins.delay("a", now) == 0
    for _ in range(10):
        origins.note("a", now, has_answered=False)
        origins.note("a", now, has_answered=False)  # others that were under way
        rest = min(origins.delay("a", now) for _ in range(3000))
        rests.append(rest)
        now = next(time for time in (now + step for step in range(1, 1000)) if origins.delay("a", time) == 0)
        assert origins.delay("a", now) > 0  # until the first has come back
    assert [round(rest / 5) for rest in rests[:6]] == [1, 2, 4, 8, 16, 32]
    assert max(rests) <= LONGEST_REST_SECONDS * 1.1
    assert origins.delay("b", now) == 0


def test_any_answer_ends_the_trouble():
    origins = CircuitBreakers(5.0)
    origins.note("a", 0.0, has_answered=False)
    origins.note("a", 1.0, has_answered=True)
    assert [origins.delay("a", 1.0) for _ in range(3)] == [0, 0, 0]


def test_origins_of_long_ago_are_forgotten():
    origins = CircuitBreakers(5.0)
    for number in range(100):
        origins.note(f"origin-{number}", number * 1000.0, has_answered=False)
    assert len(origins._troubled) < 3
