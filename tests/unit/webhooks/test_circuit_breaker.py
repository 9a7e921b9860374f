from inferq.webhooks.circuit_breaker import LONGEST_OPEN_SECONDS, CircuitBreakers


def test_circuit_is_open_for_longer_with_each_failure_and_half_open_lets_one_call_through():
    breakers, now, opened = CircuitBreakers(5.0), 0.0, []
    assert breakers.acquire("a", now) == 0
    for _ in range(10):
        breakers.record("a", now, has_answered=False)
        breakers.record("a", now, has_answered=False)  # others that were under way
        seconds = min(breakers.acquire("a", now) for _ in range(3000))
        opened.append(seconds)
        times = (now + step for step in range(1, 1000))
        now = next(time for time in times if breakers.acquire("a", time) == 0)
        assert breakers.acquire("a", now) > 0  # until that call has ended
    assert [round(seconds / 5) for seconds in opened[:6]] == [1, 2, 4, 8, 16, 32]
    assert max(opened) <= LONGEST_OPEN_SECONDS * 1.1
    assert breakers.acquire("b", now) == 0


def test_any_answer_closes_the_circuit():
    breakers = CircuitBreakers(5.0)
    breakers.record("a", 0.0, has_answered=False)
    breakers.record("a", 1.0, has_answered=True)
    assert [breakers.acquire("a", 1.0) for _ in range(3)] == [0, 0, 0]


def test_circuits_of_long_ago_are_forgotten():
    breakers = CircuitBreakers(5.0)
    for number in range(100):
        breakers.record(f"origin-{number}", number * 1000.0, has_answered=False)
    assert len(breakers) < 3
