import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from inferq.proxy.app import create_app
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.schemas.job_schemas import JobView, PredictRequest, Submitted
from inferq.proxy.http.schemas.queue_schemas import (
    BatchRequest,
    JobList,
    JobStatuses,
    QueueView,
    StatusRequest,
    SubmittedBatch,
)
from inferq.proxy.http.schemas.service_schemas import (
    EXAMPLE_MODEL,
    Health,
    Information,
    ModelList,
    Problem,
    State,
)
from inferq.proxy.http.schemas.upload_schemas import ReceivedUpload, UploadView
from inferq.tensors.signature import ModelDocument
from tests.integration.proxy.answers import beat
from tests.servers import free_port, wait_until


@contextmanager
def served(settings):
    """The application behind a real socket."""
    config = uvicorn.Config(create_app(settings), port=free_port(), log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    wait_until(lambda: server.started, what="the proxy's start")
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.timeout(480)  # 52 operations, with coverage, on a busy machine
def test_every_operation_keeps_to_the_openapi_document(settings, announced, consumer, tmp_path):
    beat(consumer, announced, ttl_seconds=600.0)
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    # so that a preference to wait, which may be sent, does not take long
    chosen = {"max_wait_seconds": 0.05, "blob_store": (tmp_path / "blobs").as_uri()}
    with served(settings.model_copy(update=chosen)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [one.ok() for one in schema.get_all_operations()]
        assert len(operations) == 52
        for operation in operations:
            if operation.label == "GET /activity":  # it never ends
                continue
            for mode in schemathesis.GenerationMode:

                @hypothesis_settings(
                    max_examples=15,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def check(case):
                    case.call_and_validate(checks=checks, timeout=60)

                try:
                    check()
                except Unsatisfiable:  # nothing wrong can be sent where anything or nothing is taken
                    assert mode is schemathesis.GenerationMode.NEGATIVE
                    assert operation.label not in (
                        "POST /predict",
                        "POST /predict/batch",
                        "POST /jobs/status",
                        "POST /jobs/actions",
                    )


def test_every_answer_has_an_example(settings):
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                assert status in ("204", "303", "304") or answer["content"]
                for media_type, content in answer.get("content", {}).items():
                    schema = schemas.get(content["schema"].get("$ref", "").rpartition("/")[2], {})
                    where = f"{path} {status} {media_type}"
                    assert {"example", "examples"} & (content.keys() | schema.keys()), where
                    assert answer["description"], where


def test_examples_of_problems_and_models_fit_their_schemas(settings):
    ModelDocument.model_validate(EXAMPLE_MODEL)
    for kind in TYPES:
        Problem.model_validate(problems.make_example(kind, "/predict"), strict=True)
    many = (
        UploadView,
        ReceivedUpload,
        BatchRequest,
        SubmittedBatch,
        StatusRequest,
        JobStatuses,
        JobList,
        QueueView,
    )
    for model in (PredictRequest, Submitted, JobView, Health, State, ModelList, Information, Problem, *many):
        for example in model.model_json_schema()["examples"]:
            model.model_validate_json(json.dumps(example))


@pytest.mark.parametrize("path", ["/predict", "/job/{job_id}", "/health", "/metadata", "/predict/test", "/"])
def test_the_seeds_endpoints_are_documented_with_examples(settings, path):
    document = create_app(settings).openapi()
    assert path in {key.replace(":path", "") for key in document["paths"]}
    assert document["components"]["schemas"]["JobView"]["examples"]
