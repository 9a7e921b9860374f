"""Requests and answers that many tests share."""

import os
from datetime import UTC, datetime

from inferq.jobs import WorkerInfo
from inferq.tensors.forms import MEDIA_TYPES

DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}


def expect_problem(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["type"]) == (status, f"urn:inferq:problem:{kind}")
    assert body["detail"]
    return body["detail"]


def beat(consumer, iris, ttl_seconds=600.0):
    now = datetime.now(UTC)
    consumer.heartbeat(
        WorkerInfo("worker-1", "here", os.getpid(), ("iris",), now, forms=MEDIA_TYPES), {}, ttl_seconds
    )
