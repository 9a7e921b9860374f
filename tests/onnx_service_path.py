"""The way of a job's values through the service without network and Redis.

The body of a request is checked as the proxy does, what is stored of it is read, run and encoded as the
worker does, and the result is written in the forms in which the proxy answers.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import orjson
from pydantic_core import to_json

from inferq.jobs import Job, Status
from inferq.models.model import Model
from inferq.proxy.http.inference_answer import write_answer, write_binary_head
from inferq.proxy.http.inference_protocol import BINARY
from inferq.proxy.services.inference.inference_checks import check_inference
from inferq.proxy.services.models.known_models import AnnouncedModel, KnownModels
from inferq.proxy.services.process_pool import ProcessPool
from inferq.proxy.services.requests.request_checks import check_predict
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.proxy.services.results.tensor_renditions import TensorRenditions
from inferq.settings import Settings
from inferq.tensors.envelope import write_envelope
from inferq.tensors.result_tensors import read_result_head
from tests.models import predict
from tests.onnx_backend import is_same, is_same_tensor, list_value
from tests.tensors import find_output, make_binary_request, read_outputs

RULES = RequestRules.from_settings(
    Settings(default_model="case", max_rows=100_000, job_ttl_seconds=3600, max_run_timeout_seconds=3600)
)


class ServicePath:
    """Asks one model for results as clients do.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        document = model.document.model_copy(update={"name": "case"})
        announced = AnnouncedModel.from_json(document.to_json(), RULES.max_rows)
        forms = frozenset(document.forms)
        self._known = KnownModels({"case": announced}, {}, "case", "case", forms={"case": forms})

    def find_difference(
        self, form: str, inputs: Mapping[str, Any], expected: Mapping[str, Any]
    ) -> str | None:
        """Returns what differs from what ONNX Runtime gives by itself; None if nothing.

        Args:
            form: `JSON` or `binary`.
            inputs: Values by name.
            expected: What ONNX Runtime gives for each output.
        """
        if form == "JSON":
            return compare(self.ask_json(inputs), expected, is_same)
        for outputs in self.ask_binary(inputs):
            difference = compare(outputs, expected, is_same_tensor)
            if difference is not None:
                return difference
        return None

    def ask_json(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs of a job that is posted as JSON, and whose result is JSON."""
        data = {name: list_value(value) for name, value in inputs.items()}
        body = to_json({"data": data, "model": "case"}, inf_nan_mode="strings")
        stored = check_predict(body, RULES, self._known, "").data
        outputs: dict[str, Any] = orjson.loads(predict(self._model, bytes(stored)))["outputs"]
        return outputs

    def ask_binary(self, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the outputs of an inference request as bytes, and of the same job's result as bytes."""
        head, data = make_binary_request(inputs)
        checked = check_inference(head + data, RULES, self._known, "", path="case", head_bytes=len(head))
        result = predict(self._model, bytes(checked.submission.data))
        said = read_result_head(result)
        binary_head = write_binary_head(said, checked.options, {})
        if binary_head is not None:
            answer = read_answer(binary_head, result[said.outputs[0].start :])
        else:
            written = write_answer(result, said, checked.options, {})
            answer = read_answer(written.head, b"".join(written.data or ()))
        return [answer, asyncio.run(_render(result))]


async def _render(result: bytes) -> dict[str, Any]:
    """The result as `GET /job/{id}/result` has it in the protocol's binary form."""
    stored = StoredResult.hold(result)
    pool = cast("ProcessPool", None)  # nothing is converted
    renditions = TensorRenditions(stored, read_result_head(result), Job("1", Status.COMPLETED), pool, ())
    rendition = await renditions.render(BINARY)
    whole = b"".join([part async for part in rendition.read(0, rendition.length or 0)])
    head_bytes = int(rendition.headers[0][1])
    return read_answer(whole[:head_bytes], whole[head_bytes:])


def read_answer(head: bytes, data: bytes) -> dict[str, Any]:
    """Returns the outputs of an answer of the Open Inference Protocol, arrays where they are tensors."""
    return read_outputs(write_envelope(json.loads(head), [data]))


def compare(outputs: Mapping[str, Any], expected: Mapping[str, Any], are_same: Any) -> str | None:
    """Returns which output is not the same, with both values; None if all are."""
    for name, value in expected.items():
        got = find_output(outputs, name)
        if not are_same(got, value):
            return f"{name}: {str(got)[:100]} for {str(value)[:100]}"
    return None
