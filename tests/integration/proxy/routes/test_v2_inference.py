"""`POST /v2/models/{model}/infer`, with a real worker behind it."""

import asyncio
import gzip
import io
import json
import math
import struct
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from inferq.tensors.signature import Datatype
from tests.integration.proxy.routes.test_v2_models import expect_error
from tests.integration.proxy.routes.v2_service import running_service
from tests.servers import wait_until
from tests.tensors import make_npy as save
from tests.tensors import make_npz, narrow_dtype, pack_array

HEAD = "inference-header-content-length"


@pytest.fixture(scope="module")
def service(valkey_server, tmp_path_factory):
    with running_service(valkey_server, tmp_path_factory.mktemp("models"), max_wait_seconds=60) as proxy:
        yield proxy


@pytest.fixture
async def client(service):
    async with service.client() as client:
        yield client


def listed(name, datatype, array):
    array = np.asarray(array)
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.tolist()}


def infer(model):
    return f"/v2/models/{model}/infer"


def pack(head, *tensors):
    """The body of a request with tensors behind its JSON, and its header."""
    text = json.dumps(head).encode()
    return {"content": b"".join([text, *tensors]), "headers": {HEAD: str(len(text))}}


def raw(name, datatype, shape, data, **parameters):
    parameters = {"binary_data_size": len(data), **parameters}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


def unpack(answer):
    """The JSON of an answer, and the bytes of its outputs by name."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers[HEAD])
    head, rest, tensors = json.loads(answer.content[:size]), answer.content[size:], {}
    for output in head["outputs"]:
        length = output.get("parameters", {}).get("binary_data_size")
        if length is not None:
            tensors[output["name"]], rest = rest[:length], rest[length:]
    assert rest == b""
    return head, tensors


X = np.array([[1.5, -2], [0.25, 8]], np.float32)


async def test_json_is_answered_as_json_with_the_job_of_the_request(client):
    answer = await client.post(infer("copy"), json={"id": "mine", "inputs": [listed("x", "FP32", X)]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert HEAD not in answer.headers
    body = answer.json()
    assert (body["model_name"], body["id"]) == ("copy", "mine")
    [output] = body["outputs"]
    assert output == {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1.5, -2.0, 0.25, 8.0]}
    job = (await client.get(f"/job/{body['parameters']['job_id']}")).json()
    assert answer.headers["inferq-job-id"] == job["job_id"]
    assert (job["status"], job["model"], job["model_version"]) == (
        "completed",
        "copy",
        body["model_version"],
    )


async def test_id_is_left_out_where_the_client_gave_none(client):
    body = (await client.post(infer("copy"), json={"inputs": [listed("x", "FP32", X)]})).json()
    assert "id" not in body


@pytest.mark.parametrize("data", [[[1.5, -2.0], [0.25, 8.0]], [1.5, -2.0, 0.25, 8.0]], ids=["nested", "flat"])
async def test_data_may_be_nested_or_flat(client, data):
    entry = listed("x", "FP32", X) | {"data": data}
    body = (await client.post(infer("copy"), json={"inputs": [entry]})).json()
    assert body["outputs"][0]["data"] == [1.5, -2.0, 0.25, 8.0]


async def test_bytes_in_and_bytes_out(client):
    request = pack(
        {"inputs": [raw("x", "FP32", [2, 2], X.tobytes())], "parameters": {"binary_data_output": True}},
        X.tobytes(),
    )
    answer = await client.post(infer("copy"), **request)
    head, tensors = unpack(answer)
    assert tensors == {"y": X.tobytes()}
    assert head["outputs"][0]["shape"] == [2, 2]
    assert answer.headers["inferq-job-id"] == head["parameters"]["job_id"]


ARRAYS = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT16": np.array([[0, 65535]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT16": np.array([[-32768, 32767]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "FP16": np.array([[0.1, -65504]], np.float16),
    "FP32": np.array([[0.1, -3e38]], np.float32),
    "FP64": np.array([[0.1, -1e308]], np.float64),
}
TEXTS = ["cat", "犬"]
PACKED_TEXTS = b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in TEXTS)


async def test_every_datatype_makes_the_way_as_json(client):
    inputs = [listed(f"x_{name}", name, array) for name, array in ARRAYS.items()]
    inputs.append({"name": "x_BYTES", "datatype": "BYTES", "shape": [1, 2], "data": TEXTS})
    body = (await client.post(infer("types"), json={"inputs": inputs})).json()
    outputs = {output["name"]: output for output in body["outputs"]}
    for name, array in ARRAYS.items():
        output = outputs[f"y_{name}"]
        assert (output["datatype"], output["shape"]) == (name, [1, 2])
        assert np.array_equal(np.array(output["data"], array.dtype), array.ravel()), name
    assert outputs["y_BYTES"]["data"] == TEXTS


async def test_every_datatype_makes_the_way_as_bytes(client):
    tensors = {name: array.tobytes() for name, array in ARRAYS.items()} | {"BYTES": PACKED_TEXTS}
    inputs = [raw(f"x_{name}", name, [1, 2], data) for name, data in tensors.items()]
    request = pack({"inputs": inputs, "parameters": {"binary_data_output": True}}, *tensors.values())
    _, answered = unpack(await client.post(infer("types"), **request))
    assert answered == {f"y_{name}": data for name, data in tensors.items()}


async def test_inputs_and_outputs_of_one_request_may_be_mixed(client):
    price = np.array([[0.5, 0, 2]])
    head = {
        "inputs": [
            listed("count", "INT64", [[1, 2, 3]]),
            raw("price", "FP64", [1, 3], price.tobytes()),
        ],
        "outputs": [
            {"name": "is_free", "parameters": {"binary_data": False}},
            {"name": "total", "parameters": {"binary_data": True}},
        ],
    }
    answered, tensors = unpack(await client.post(infer("two"), **pack(head, price.tobytes())))
    assert [output["name"] for output in answered["outputs"]] == ["is_free", "total"]
    assert answered["outputs"][0]["data"] == [False, True, False]
    assert tensors == {"total": np.array([[0.5, 0, 6.0]]).tobytes()}


async def test_only_the_outputs_that_are_named_come_back(client):
    inputs = [listed("count", "INT64", [[1, 2, 3]]), listed("price", "FP64", [[1.0, 2.0, 3.0]])]
    request = {"inputs": inputs, "outputs": [{"name": "total"}]}
    body = (await client.post(infer("two"), json=request)).json()
    assert [output["name"] for output in body["outputs"]] == ["total"]


async def test_body_without_json_is_the_one_input(client):
    answer = await client.post(infer("imputer"), content=X.tobytes(), headers={HEAD: "0"})
    head, tensors = unpack(answer)
    assert (head["outputs"][0]["shape"], tensors) == ([2, 2], {"y": X.tobytes()})
    answer = await client.post(infer("text"), content="犬".encode(), headers={HEAD: "0"})
    _, tensors = unpack(answer)
    assert tensors == {"loud": struct.pack("<I", 4) + "犬!".encode()}


async def test_picture_may_be_the_body_or_an_input(client):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 20, 30)).save(file, "png")
    for request in (
        {"content": file.getvalue(), "headers": {HEAD: "0"}},
        pack(
            {
                "inputs": [
                    {
                        "name": "image",
                        "parameters": {"binary_data_size": file.tell(), "content_type": "image/png"},
                    }
                ],
                "parameters": {"binary_data_output": True},
            },
            file.getvalue(),
        ),
    ):
        _, tensors = unpack(await client.post(infer("colours"), **request))
        assert np.frombuffer(*tensors.values(), np.float32).tolist() == [10, 20, 30]


async def test_body_without_json_of_the_wrong_length_or_for_several_inputs_is_refused(client):
    for model, said in (("imputer", "has 16"), ("two", "2 inputs"), ("copy", "shape [1, 4]")):
        answer = await client.post(infer(model), content=b"x" * 17, headers={HEAD: "0"})
        assert said in expect_error(answer, 400), model


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_body_has_the_header_of_the_plain_one(client, coding):
    request = pack({"inputs": [raw("x", "FP32", [2, 2], X.tobytes())]}, X.tobytes())
    compress = gzip.compress if coding == "gzip" else zlib.compress
    answer = await client.post(
        infer("copy"),
        content=compress(request["content"]),
        headers={**request["headers"], "content-encoding": coding},
    )
    assert answer.json()["outputs"][0]["data"] == [1.5, -2.0, 0.25, 8.0]


async def test_what_is_not_finite_is_null_in_json_and_itself_in_bytes(client):
    values = np.array([[math.nan, math.inf]], np.float32)
    inputs = {"inputs": [raw("x", "FP32", [1, 2], values.tobytes())]}
    body = (await client.post(infer("copy"), **pack(inputs, values.tobytes()))).json()
    assert body["outputs"][0]["data"] == [None, None]
    inputs["parameters"] = {"binary_data_output": True}
    _, tensors = unpack(await client.post(infer("copy"), **pack(inputs, values.tobytes())))
    assert tensors["y"] == values.tobytes()


async def test_half_floats_may_be_json_numbers(client):
    answer = await client.post(infer("copy"), json={"inputs": [listed("x", "FP16", X)]})
    assert "FP16" in expect_error(answer, 400)  # not for a model that takes FP32


async def test_classes_are_named_by_value_index_and_label(client):
    scores = [[0.0, 1.0], [3.0, 0.0]]
    wish = {"name": "probabilities", "parameters": {"classification": 1}}
    request = {"inputs": [listed("scores", "FP32", scores)], "outputs": [wish]}
    [output] = (await client.post(infer("pets"), json=request)).json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 1])
    assert [text.split(":")[1:] for text in output["data"]] == [["1", "dog"], ["0", "cat"]]
    assert float(output["data"][0].split(":")[0]) == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-5)
    wish["parameters"] = {"classification": 5, "binary_data": True}
    answered, tensors = unpack(await client.post(infer("pets"), json=request))
    assert answered["outputs"][0]["shape"] == [2, 2]
    assert tensors["probabilities"].count(b":dog") == 2
    wish["name"] = "label"
    assert "classification" in expect_error(await client.post(infer("pets"), json=request), 400)


async def test_large_outputs_are_passed_on_while_they_are_read(client):
    values = np.arange(400_000, dtype=np.float32).reshape(1, -1)  # 1.6 MB, in 13 parts
    inputs = {"inputs": [raw("x", "FP32", list(values.shape), values.tobytes())]}
    body = (await client.post(infer("copy"), **pack(inputs, values.tobytes()))).json()
    assert body["outputs"][0]["data"] == values.ravel().tolist()
    inputs["parameters"] = {"binary_data_output": True}
    _, tensors = unpack(await client.post(infer("copy"), **pack(inputs, values.tobytes())))
    assert tensors["y"] == values.tobytes()


async def test_priority_and_timeout_are_those_of_the_job(client):
    for given, priority in ((0, "normal"), (1, "high"), (2, "normal"), (3, "low")):
        request = {
            "inputs": [listed("x", "FP32", X)],
            "parameters": {"priority": given, "timeout": 60_000_000},
        }
        answer = await client.post(infer("copy"), json=request)
        job = (await client.get(f"/job/{answer.headers['inferq-job-id']}")).json()
        assert job["priority"] == priority


async def test_run_that_takes_longer_than_its_timeout_is_stopped(client):
    request = {"inputs": [listed("x", "INT64", [10**9])], "parameters": {"timeout": 2_500_000}}
    answer = await client.post(infer("slow"), json=request)
    error = expect_error(answer, 504)
    assert "2.5" in error
    assert answer.json()["type"] == "urn:inferq:problem:timed-out"
    assert answer.json()["job_id"] == answer.headers["inferq-job-id"]


async def test_model_that_fails_is_a_sentence_with_the_job(client):
    answer = await client.post(infer("failing"), json={"inputs": [listed("index", "INT64", [99])]})
    error = expect_error(answer, 500)
    assert "look_up" in error
    assert "Traceback" not in answer.text
    job = (await client.get(f"/job/{answer.headers['inferq-job-id']}")).json()
    assert (job["error"], job["error_kind"]) == (error, "model-error")


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "JPEG"),
        (b"{}", "lacks the input 'x'"),
        (b'{"inputs": 1}', "inputs must be an array"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1]}]}', "must have one of data"),
        (b'{"inputs": [{"name": "x", "datatype": "BF16", "shape": [1, 1], "data": [1]}]}', "BF16"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1]}]}', "2 values"),
        (b'{"inputs": [{"name": "z", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}', "no input"),
    ],
)
async def test_bad_request_is_a_400_that_says_what_is_wrong(client, request_body, said):
    assert said in expect_error(await client.post(infer("copy"), content=request_body), 400)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"outputs": [{"name": "z"}]}, "Its outputs are 'y'"),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, "twice"),
        ({"outputs": {}, "parameters": {"sequence_id": 7}}, "state between requests"),
        ({"parameters": {"priority": -1}}, "priority"),
        ({"parameters": {"timeout": 0.5}}, "microseconds"),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output"),
        ({"parameters": []}, "parameters must be an object"),
        ({"outputs": [{"name": "y", "parameters": {"classification": True}}]}, "classification"),
        ({"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}, "shared memory"),
        ({"id": 5}, "id must be a string"),
    ],
)
async def test_wish_that_cannot_be_met_is_refused(client, more, said):
    request = {"inputs": [listed("x", "FP32", X)], **more}
    assert said in expect_error(await client.post(infer("copy"), json=request), 400)


@pytest.mark.parametrize(("length", "said"), [("9999", "9,999 bytes"), ("-1", "'-1'"), ("x", "'x'")])
async def test_header_that_cannot_be_the_length_of_the_json_is_refused(client, length, said):
    answer = await client.post(infer("copy"), content=b"{}", headers={HEAD: length})
    assert said in expect_error(answer, 400)


async def test_bytes_that_are_too_few_or_too_many_are_refused(client):
    for data in (X.tobytes()[:-4], X.tobytes() + b"more"):
        request = pack({"inputs": [raw("x", "FP32", [2, 2], X.tobytes())]}, data)
        expect_error(await client.post(infer("copy"), **request), 400)


async def test_unknown_model_and_version_are_404(client):
    request = {"inputs": [listed("x", "FP32", X)]}
    assert "Known:" in expect_error(await client.post(infer("nothing"), json=request), 404)
    assert "has no version" in expect_error(await client.post(infer("copy/versions/1"), json=request), 404)
    version = (await client.get("/v2/models/copy")).json()["versions"][0]
    assert (await client.post(infer(f"copy/versions/{version}"), json=request)).status_code == 200


async def test_client_that_prefers_not_to_wait_gets_a_ticket(client):
    request = {"inputs": [listed("x", "FP32", X)]}
    answer = await client.post(infer("copy"), json=request, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert answer.headers["location"] == f"/job/{answer.json()['job_id']}"
    job = (await client.get(f"{answer.headers['location']}?wait=60")).json()
    assert job["result"]["outputs"] == {"y": X.tolist()}
    kept = await client.get(
        f"{answer.headers['location']}/result", headers={"accept": "application/octet-stream"}
    )
    assert unpack(kept)[1] == {"y": X.tobytes()}
    answer = await client.post(infer("copy"), json=request, headers={"prefer": "respond-async, wait=60"})
    assert (answer.status_code, answer.json()["model_name"]) == (200, "copy")


async def test_wait_that_is_over_is_a_504_and_the_job_goes_on(client):
    request = {"inputs": [listed("x", "INT64", [10**9])]}
    answer = await client.post(infer("slow"), json=request, headers={"prefer": "wait=0.1"})
    assert "It goes on" in expect_error(answer, 504)
    job_id = answer.json()["job_id"]
    assert (await client.get(f"/job/{job_id}")).json()["status"] in ("pending", "processing")
    await client.delete(f"/job/{job_id}")


async def test_job_whose_client_goes_away_is_cancelled(client, service):
    body = json.dumps({"inputs": [listed("x", "INT64", [10**9])]}).encode()
    head = f"POST {infer('slow')} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(head.encode() + body)
    job = await until_running(client)
    writer.close()
    ended = (await client.get(f"/job/{job['job_id']}?wait=60")).json()
    assert (ended["status"], ended["error_kind"]) == ("failed", "cancelled")
    wait_until(lambda: len(service.subscriber) == 0, what="the waiter leaving")


async def test_job_with_an_idempotency_key_goes_on_and_is_found_again(client, service):
    body = json.dumps({"inputs": [listed("x", "INT64", [3_000_000])]}).encode()
    head = (
        f"POST {infer('slow')} HTTP/1.1\r\nHost: proxy\r\nIdempotency-Key: k1\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(head.encode() + body)
    job = await until_running(client, "processing", "completed")  # a fast machine has run it by now
    writer.close()
    answer = await client.post(infer("slow"), content=body, headers={"idempotency-key": "k1"})
    assert answer.json()["outputs"][0]["data"] == [3_000_000]
    assert answer.headers["inferq-job-id"] == job["job_id"]


async def until_running(client, *statuses):
    """Waits for a job of the slow model in one of these states, "processing" if none is named."""
    async with asyncio.timeout(60):
        while True:
            for status in statuses or ("processing",):
                query = {"model": "slow", "status": status}
                if jobs := (await client.get("/jobs", params=query)).json()["jobs"]:
                    return jobs[0]
            await asyncio.sleep(0.02)


async def test_many_at_once_share_runs_with_other_jobs(client):
    raw_request = pack(
        {"inputs": [raw("x", "FP32", [2, 2], X.tobytes())], "parameters": {"binary_data_output": True}},
        X.tobytes(),
    )
    plain = {"model": "copy", "data": X.tolist()}
    answers = await asyncio.gather(
        *(client.post(infer("copy"), **raw_request) for _ in range(40)),
        *(client.post("/predict", json=plain, headers={"prefer": "wait=60"}) for _ in range(40)),
    )
    assert {unpack(answer)[1]["y"] for answer in answers[:40]} == {X.tobytes()}
    assert [answer.json()["result"]["outputs"]["y"] for answer in answers[40:]] == [X.tolist()] * 40
    stats = (await client.get("/v2/models/copy/stats")).json()["model_stats"][0]
    assert stats["execution_count"] < stats["inference_count"]


async def test_request_is_counted_by_its_route(client):
    text = (await client.get("/metrics")).text
    assert 'http_route="/v2/models/{model}/infer"' in text


def test_answers_are_the_same_without_the_fast_path(service):
    fast_path, service.app.state.fast_path._is_on = service.app.state.fast_path, False
    try:
        url = f"http://127.0.0.1:{service.port}{infer('copy')}"
        answer = httpx.post(url, json={"inputs": [listed("x", "FP32", X)]}, timeout=90)
        assert answer.json()["outputs"][0]["data"] == [1.5, -2.0, 0.25, 8.0]
        assert httpx.post(url, content=b"[]", timeout=90).json()["error"]
    finally:
        fast_path._is_on = True


async def test_bfloat16_goes_in_and_out_as_bytes_and_as_numbers(client):
    x, code = np.array([[1.5, -2, 0.1]], np.float32), np.array([[0.25, np.nan, -np.inf]])
    code_bytes = pack_array(code.astype(narrow_dtype(Datatype.BF16)))
    head = {
        "inputs": [raw("x", "FP32", [1, 3], x.tobytes()), raw("code", "BF16", [1, 3], code_bytes)],
        "parameters": {"binary_data_output": True},
    }
    head, tensors = unpack(await client.post(infer("bfloat16"), **pack(head, x.tobytes(), code_bytes)))
    assert [(output["name"], output["datatype"]) for output in head["outputs"]] == [
        ("as_code", "BF16"),
        ("as_float", "FP32"),
    ]
    assert tensors["as_code"] == pack_array(x.astype(narrow_dtype(Datatype.BF16)))
    np.testing.assert_array_equal(np.frombuffer(tensors["as_float"], np.float32).reshape(1, 3), code)
    answer = await client.post(
        infer("bfloat16"),
        json={"inputs": [listed("x", "FP32", x), listed("code", "BF16", [[0.25, 1, 3]])]},
    )
    assert [output["data"] for output in answer.json()["outputs"]] == [[1.5, -2, 0.100097656], [0.25, 1, 3]]


async def test_integers_of_four_bits_share_bytes_over_the_rows(client):
    x, code = np.array([[1, -2, 7]], np.float32), bytes([0x21, 0x0F])  # 1, 2, -1
    head = {
        "inputs": [raw("x", "FP32", [1, 3], x.tobytes()), raw("code", "INT4", [1, 3], code)],
        "outputs": [
            {"name": "as_code", "parameters": {"binary_data": True}},
            {"name": "as_float"},
        ],
    }
    head, tensors = unpack(await client.post(infer("int4"), **pack(head, x.tobytes(), code)))
    assert tensors == {"as_code": bytes([0xE1, 0x07])}
    assert head["outputs"][1]["data"] == [1, 2, -1]


async def test_what_numpy_lacks_is_no_npy_but_numbers_and_bytes(client):
    data = {"x": [[1.5, -2, 0.1]], "code": [[0.25, 1, 3]]}
    answer = await client.post("/predict?wait=60", json={"data": data, "model": "bfloat16"})
    path = f"/job/{answer.json()['job_id']}/result?wait=60"
    refused = await client.get(f"{path}&output=as_code", headers={"accept": "application/x-npy"})
    assert refused.status_code == 406
    assert "'as_code' is BF16, which NumPy lacks: application/json" in refused.json()["detail"]
    plain = await client.get(f"{path}&output=as_float", headers={"accept": "application/x-npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(plain.content)), data["code"])
    binary = await client.get(f"{path}&output=as_code", headers={"accept": "application/octet-stream"})
    bits = np.array(data["x"], np.float32).astype(narrow_dtype(Datatype.BF16))
    assert binary.content[int(binary.headers[HEAD]) :] == pack_array(bits)


async def test_sequence_is_a_tensor_for_each_entry(client):
    long, short = np.array([[1.5, np.nan]], np.float32), np.array(7, np.float32)
    head = {
        "inputs": [raw("x/0", "FP32", [1, 2], long.tobytes()), listed("x/1", "FP32", short)],
        "parameters": {"binary_data_output": True},
    }
    head, tensors = unpack(await client.post(infer("sequence"), **pack(head, long.tobytes())))
    assert tensors == {"y/0": long.tobytes(), "y/1": short.tobytes()}
    assert [output["parameters"]["sequence"] for output in head["outputs"]] == ["y", "y"]
    asked = {"inputs": [listed("x/0", "FP32", [2.5])], "outputs": [{"name": "y"}]}
    [output] = (await client.post(infer("sequence"), json=asked)).json()["outputs"]
    assert output == {
        "name": "y/0", "datatype": "FP32", "shape": [1], "parameters": {"sequence": "y"}, "data": [2.5]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "shape", "data"),
    [
        ([], [], None),
        ([{"name": "x", "datatype": "FP32", "shape": [0], "data": []}], [0], []),
    ],
)
async def test_what_is_absent_and_what_is_empty_is_told_apart(client, inputs, shape, data):
    head = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    [output] = (await client.post(infer("sequence"), json=head)).json()["outputs"]
    assert output == {"name": "y", "datatype": "FP32", "shape": shape, "data": data}


async def test_map_is_its_keys_and_its_values(client):
    inputs = [listed("x/keys", "BYTES", np.array(["b", "c"])), listed("x/values", "FP32", [0.5, 2])]
    [output] = (await client.post(infer("map"), json={"inputs": inputs})).json()["outputs"]
    assert output["data"] == [0, 0.5]
    answer = await client.post(infer("map"), json={"inputs": inputs[:1]})
    assert 'data lacks "x/values"' in expect_error(answer, 400)


async def test_sequence_in_a_form_and_in_an_archive(client):
    long, short = np.array([[1.5, 2]], np.float32), np.array([7], np.float32)
    files = {"x/0": save(long), "x/1": ("x.npy", save(short)), "options": (None, '{"model": "sequence"}')}
    answer = await client.post("/predict", files=files)
    path = f"/job/{answer.json()['job_id']}/result?wait=60"
    archive = await client.get(path, headers={"accept": "application/x-npz"})
    arrays = np.load(io.BytesIO(archive.content))
    assert arrays.files == ["y/0", "y/1"]
    np.testing.assert_array_equal(arrays["y/0"], long)
    assert (await client.get(path)).json() == {"outputs": {"y": [[[1.5, 2]], [7]]}}
    chosen = await client.get(f"{path}&output=y/1", headers={"accept": "application/x-npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(chosen.content)), short)
    refused = await client.get(f"{path}&output=y", headers={"accept": "application/x-npy"})
    assert refused.status_code == 406
    again = await client.post("/predict?model=sequence", content=archive.content.replace(b"y/", b"x/"))
    assert again.status_code == 202, again.text
    job = (await client.get(f"/job/{again.json()['job_id']}?wait=60")).json()
    assert job["result"] == {"outputs": {"y": [[[1.5, 2]], [7]]}}


async def test_absent_output_is_no_member_of_an_archive(client):
    answer = await client.post("/predict?model=sequence", content=make_npz({}))
    path = f"/job/{answer.json()['job_id']}/result?wait=60"
    archive = await client.get(path, headers={"accept": "application/x-npz"})
    assert np.load(io.BytesIO(archive.content)).files == []


async def test_strings_that_are_no_text_come_back_as_bytes_alone(client):
    values = [b"\xff\0", "é".encode()]
    data = b"".join(struct.pack("<I", len(value)) + value for value in values)
    head = {"inputs": [raw("text", "BYTES", [2], data)]}
    as_bytes = {**head, "parameters": {"binary_data_output": True}}
    answer = await client.post(infer("text"), **pack(as_bytes, data))
    _, tensors = unpack(answer)
    assert tensors["loud"] == b"".join(struct.pack("<I", len(value) + 1) + value + b"!" for value in values)
    refused = await client.post(infer("text"), **pack(head, data))
    assert "has a value that is not UTF-8, the 1. in row-major order" in expect_error(refused, 400)
    path = f"/job/{answer.headers['inferq-job-id']}"
    job = (await client.get(path)).json()
    assert job["result"]["outputs"]["loud"] == {
        "datatype": "BYTES",
        "shape": [2],
        "bytes": len(tensors["loud"]),
    }
    for accept in ("application/json", "application/x-npy"):
        assert (await client.get(f"{path}/result", headers={"accept": accept})).status_code == 406
    raw_answer = await client.get(f"{path}/result", headers={"accept": "application/octet-stream"})
    assert raw_answer.content.endswith(tensors["loud"])
