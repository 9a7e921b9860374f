"""KServe's client, unmodified, against `/v2` at a port; a program for an environment that has it.

uv run --isolated --no-project --no-config --with kserve==0.21.0 --python 3.13 kserve_client.py PORT
"""

import asyncio
import sys

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

X = np.array([[1.5, -2], [0.25, 8]], np.float32)


def make_request(model, *, binary, outputs=None):
    given = InferInput("x", list(X.shape), "FP32")
    given.set_data_from_numpy(X, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[given], request_outputs=outputs, request_id="mine")


async def main(url):
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "copy")
    for binary in (True, False):
        for outputs in (None, [RequestedOutput("y", {"binary_data": binary})]):
            request = make_request("copy", binary=binary, outputs=outputs)
            answer = await client.infer(url, request, model_name="copy")
            assert np.array_equal(answer.outputs[0].as_numpy(), X), (binary, outputs)
            assert (answer.model_name, answer.id) == ("copy", "mine")
    try:
        await client.infer(url, make_request("nothing", binary=True), model_name="nothing")
    except HTTPStatusError as error:
        shown = str(error)
    assert "There is no model 'nothing'" in shown
    print("the client of KServe has got what it asked for")


asyncio.run(main(f"http://127.0.0.1:{sys.argv[1]}"))
