import pytest

from inferq.errors import RedisUnavailableError
from inferq.proxy.services.models.known_models import KnownModels


def test_error_with_which_models_cannot_be_read_holds_no_request():
    with pytest.raises(RedisUnavailableError) as read:
        raise RedisUnavailableError("Redis is away.", retry_after_seconds=2)
    models = KnownModels.make_unreadable("iris", read.value)
    for _ in range(2):
        with pytest.raises(RedisUnavailableError, match="away") as raised:
            models.locate("iris")
        assert raised.value.retry_after_seconds == 2
    assert models.error.__traceback__ is None
