import httpx
import numpy as np
import pytest

from inferq.tensors.forms import READ_FORMS
from tests.unit.tensors.arrays import save

ROWS = np.array([[5.1, 3.5, 1.4, 0.2]], "f4")


def test_worker_says_what_it_reads(service):
    document = httpx.get(f"{service}/models/iris", timeout=60).json()
    assert document["forms"] == list(READ_FORMS)


@pytest.mark.parametrize(
    "request_options",
    [
        {"content": save(ROWS)},
        {"content": ROWS.tobytes(), "headers": {"Content-Type": "application/octet-stream"}},
        {"files": {"features": ("x.npy", save(ROWS))}},
        {"json": {"data": {"b64": "MzOjQAAAYEAzM7M/zcxMPg==", "datatype": "FP32", "shape": [1, 4]}}},
        {"json": {"data": [[5.1, 3.5, 1.4, 0.2]]}},
    ],
)
def test_job_runs_whatever_form_its_data_has(service, request_options):
    headers = {"Prefer": "wait=60"} | request_options.get("headers", {})
    answer = httpx.post(f"{service}/predict", timeout=90, **request_options | {"headers": headers})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "completed", answer.text
