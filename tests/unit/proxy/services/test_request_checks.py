"""What is known of the models."""

import pytest

from inferq.errors import RedisUnavailableError
from inferq.proxy.services.request_checks import Terms, unread


def test_error_with_which_models_cannot_be_read_holds_no_request():
    terms = Terms("iris", 1, 1.0, None)
    with pytest.raises(RedisUnavailableError) as read:
        raise RedisUnavailableError("Redis is away.", retry_after_seconds=2)
    models = unread(terms, read.value)
    for _ in range(2):
        with pytest.raises(RedisUnavailableError, match="away") as raised:
            models.find("iris")
        assert raised.value.retry_after_seconds == 2
    assert models.error.__traceback__ is None
