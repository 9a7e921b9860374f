"""What a promotion and a rollback make of a rollout."""

import pytest

from inferq.errors import RolloutStateError
from inferq.proxy.services.models.model_versions import ModelVersions
from inferq.rollout import Rollout
from inferq.tensors.signature import ModelDocument
from tests.model_documents import write_document


def know(serving, *versions):
    """What a proxy knows of a model: which version serves, and all that are there."""
    documents = {
        one: ModelDocument.model_validate_json(write_document("iris", version=one)) for one in versions
    }
    return ModelVersions("iris", documents[serving], documents, frozenset(versions))


def test_rollback_returns_to_the_version_that_was_promoted_last_though_a_proxy_has_not_heard_of_it():
    first = know("2", "1", "2").promote("1")(None)
    second = know("2", "1", "2").promote("2")(first)  # to this proxy, 2 serves still
    assert (second.serve, second.previous) == ("2", "1")
    assert know("2", "1", "2").roll_back()(second).serve == "1"


def test_promotion_that_is_repeated_keeps_the_version_before():
    promoted = know("2", "1", "2").promote("1")(None)
    assert know("1", "1", "2").promote("1")(promoted) == promoted


def test_version_that_has_gone_is_none_to_return_to():
    kept = know("2", "1", "2").promote("2")(Rollout(serve="9", previous="1"))
    assert (kept.serve, kept.previous) == ("2", "1")
    with pytest.raises(RolloutStateError, match="has served before"):
        know("2", "1", "2").roll_back()(Rollout(serve="9"))
