"""Long bodies: checked as slices, with the answers that parsing them would have."""

import json

import pytest

from inferq.errors import InferqError
from inferq.proxy.http.bodies.data_slice import slice_body
from inferq.proxy.services.models.known_models import AnnouncedModel, KnownModels
from inferq.proxy.services.requests import request_checks
from inferq.proxy.services.requests.request_checks import check_predict
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.settings import Settings
from inferq.tensors.signature import Datatype, ModelDocument, Tensor

RULES = RequestRules.from_settings(
    Settings(default_model="m", max_rows=1000, job_ttl_seconds=3600, max_run_timeout_seconds=3600)
)
DOCUMENT = ModelDocument(
    name="m",
    version="1",
    versions=["1"],
    inputs=[Tensor(name="x", datatype=Datatype.FP32, shape=[-1, 3])],
    outputs=[],
)
MODELS = KnownModels({"m": AnnouncedModel.from_json(DOCUMENT.to_json(), 1000)}, {}, "m", "m")
ROWS = "[" + ", ".join(["[1, 2.5, -3e2]"] * 900) + "]"


def check(body, monkeypatch, *, is_sliced):
    """What a body becomes, or the words of its refusal."""
    monkeypatch.setattr(request_checks, "LONGEST_ON_LOOP_BYTES", 0 if is_sliced else len(body))
    monkeypatch.setattr("inferq.tensors.data_validator.LEAST_BYTES", 0 if is_sliced else len(body) + 1)
    try:
        submission = check_predict(body, RULES, MODELS, "ann", {"model": "m"})
    except InferqError as error:
        return error.kind, error.message
    data = json.loads(bytes(submission.data))
    return data, submission.model, submission.priority, submission.timeout_seconds, submission.owner


@pytest.mark.parametrize(
    "body",
    [
        f'{{"data": {ROWS}}}',
        f' {{ "priority":"high" , "data":{ROWS} , "model" : "m", "timeout": 2.5 }} ',
        f'{{"data": {ROWS}, "priority": "urgent"}}',
        f'{{"data": {ROWS}, "modle": "m"}}',
        f'{{"data": {ROWS}, "model": "m", "model": "m"}}',
        f'{{"data": 1, "data": {ROWS}}}',
        f'{{"data": {ROWS}, "data": 1}}',
        f'{{"data": {ROWS}, "model": "other"}}',
        f'{{"data": {ROWS}, "model": "]"}}',
        f'{{"model": "[", "data": {ROWS}}}',
        f'{{"model": "a\\"data\\": [1]", "data": {ROWS}}}',
        f'{{"data": {ROWS}, "timeout": [1]}}',
        f'{{"data": {{"x": {ROWS}}}}}',
        f'{{"x": {{"data": {ROWS}}}}}',
        f'{{"data": {ROWS}',
        f'{{"data": {ROWS}}} x',
        f'{{"data": {ROWS},}}',
        f'{{"data": {ROWS} {ROWS}}}',
        f'{{"data": {ROWS[:-1]}, [1, 2]]}}',
        f'{{"data": {ROWS[:-1]}, [1, 2, NaN]]}}',
        f'{{"data": {ROWS[:-1]}, [1, 2, "NaN"]]}}',
        f'{{"data": {ROWS[:-1]}, [1, 2, 1e39]]}}',
        f'{{"data": {ROWS[:-1]}, [1, 2, 1e999]]}}',
        f'{{"data": {ROWS[:-1]}, [1, 2, 123456789012345678901234567890]]}}',
        f'{{"data": {ROWS[:-1]}, {ROWS[1:]}}}',
        f"[{ROWS}]",
    ],
)
def test_body_becomes_the_same_whether_it_is_sliced_or_parsed(body, monkeypatch):
    body = body.encode()
    assert check(body, monkeypatch, is_sliced=True) == check(body, monkeypatch, is_sliced=False)


def test_data_of_a_sliced_body_is_a_view_of_it(monkeypatch):
    monkeypatch.setattr(request_checks, "LONGEST_ON_LOOP_BYTES", 0)
    monkeypatch.setattr("inferq.tensors.data_validator.LEAST_BYTES", 0)
    body = f'{{"data": {ROWS}}}'.encode()
    data = check_predict(body, RULES, MODELS, "").data
    assert isinstance(data, memoryview)
    assert data == ROWS.encode()
    assert data.obj is body


def test_slices_of_a_body_are_what_they_say():
    sliced = slice_body(b'{"model":"m","data": [[1, 2]] ,"timeout":3}')
    assert sliced is not None
    assert sliced.rest == b'{"model":"m","data": null ,"timeout":3}'
