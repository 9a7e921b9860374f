"""GET and DELETE /job/{job_id}/result."""

import asyncio
import io
import json
import struct
import tracemalloc

import numpy as np
import pytest

from inferq.jobs import Outcome
from inferq.proxy.services.results import result_negotiation, tensor_renditions
from inferq.queue.consumer.consumer import Consumer
from inferq.tensors.envelope import write_envelope
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_jobs import failed, submit

NPY, NPZ, BINARY = "application/x-npy", "application/x-npz", "application/octet-stream"
DATATYPES = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "u1": "UINT8", "b1": "BOOL", "f2": "FP16"}


def make_result(more=(), **arrays):
    """A result of tensors, as a worker stores it."""
    entries = [
        {
            "name": name,
            "datatype": DATATYPES[array.dtype.str[1:]],
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in arrays.items()
    ]
    return write_envelope({"outputs": [*entries, *more]}, [array.tobytes() for array in arrays.values()])


@pytest.fixture
def complete(client, announced, consumer):
    """Completes a job with a result; returns the job's id."""

    async def complete(result):
        job_id = await submit(client)
        consumer.finish([Outcome(job, result=result) for job in consumer.claim(1)])
        return job_id

    return complete


@pytest.fixture
def read(client):
    async def read(job_id, accept=None, query="", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.get(f"/job/{job_id}/result{query}", headers=headers | {"accept": accept or "*/*"})

    return read


def load(answer):
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


ARRAYS = {
    "boxes": np.array([[0.1, np.nan, -np.inf], [1e-7, 3.4e38, 0]], "f4"),
    "count": np.arange(40_000, dtype="i8").reshape(2, 20_000),
    "mask": np.array([[True], [False]]),
}


@pytest.mark.parametrize("scale", [1, 10], ids=["small", "large"])
async def test_tensors_are_sent_in_each_form(complete, read, scale):
    arrays = {name: np.repeat(array, scale, axis=0) for name, array in ARRAYS.items()}
    if scale == 1:
        arrays["count"] = arrays["count"][:, :5].copy()
    job_id = await complete(make_result(**arrays))
    for name, array in arrays.items():
        answer = await read(job_id, NPY, f"?output={name}")
        found = load(answer)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        assert answer.headers["content-type"] == NPY
        assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.npy"'
        assert int(answer.headers["content-length"]) == len(answer.content)
    for query, names in (("", list(arrays)), ("?output=mask&output=boxes", ["mask", "boxes"])):
        with load(await read(job_id, "application/zip", query)) as archive:
            assert list(archive) == names
            for name in names:
                np.testing.assert_array_equal(archive[name], arrays[name])
        shown = (await read(job_id, None, query)).json()["outputs"]
        assert list(shown) == names
        for name in names:
            expected = np.where(np.isfinite(arrays[name]), arrays[name], np.nan)
            np.testing.assert_array_equal(np.array(shown[name], arrays[name].dtype), expected)
        answer = await read(job_id, BINARY, query)
        length = int(answer.headers["inference-header-content-length"])
        head = json.loads(answer.content[:length])
        assert (head["model_name"], [output["name"] for output in head["outputs"]]) == ("iris", names)
        assert answer.content[length:] == b"".join(arrays[name].tobytes() for name in names)


@pytest.mark.parametrize("accept", [None, NPY, NPZ, BINARY])
async def test_answer_says_what_made_the_result(client, announced, settings, read, accept):
    consumer = Consumer(
        settings, "worker-1", ["iris"], {"iris": "2 1b7be0c2d5aa onnxruntime-1.32.0 Odd%name"}
    )
    job_id = await submit(client)
    consumer.finish([Outcome(job, make_result(mask=ARRAYS["mask"])) for job in consumer.claim(1)])
    consumer.close()
    answer = await read(job_id, accept)
    made_by = 'version="2", digest="1b7be0c2d5aa", runtime="onnxruntime-1.32.0"'
    assert answer.headers["inferq-made-by"] == made_by
    if accept == BINARY:
        head = json.loads(answer.content[: int(answer.headers["inference-header-content-length"])])
        assert head["model_version"] == "2"
        assert head["parameters"] == {
            "job_id": job_id,
            "digest": "1b7be0c2d5aa",
            "runtime": "onnxruntime-1.32.0",
            "provider": "Odd%name",
        }


async def test_one_array_is_chosen_where_there_are_several(complete, read):
    job_id = await complete(make_result(**ARRAYS))
    detail = expect_problem(await read(job_id, NPY), 406, "not-acceptable")
    assert "the outputs 'boxes', 'count', 'mask', and application/x-npy has one" in detail
    assert "?output=boxes" in detail
    detail = expect_problem(await read(job_id, NPY, "?output=nosuch"), 422, "invalid-input")
    assert "output=nosuch is no output of the result, which has the outputs 'boxes', 'count'" in detail
    expect_problem(await read(job_id, NPZ, "?output=mask&output=mask"), 422, "invalid-input")
    detail = expect_problem(await read(job_id, "text/html"), 406, "not-acceptable")
    assert "The result can be had as application/json, application/x-npy" in detail


async def test_what_cannot_be_had_as_the_first_form_comes_as_the_next(complete, read):
    several = await complete(make_result(**ARRAYS))
    listed = {"outputs": {"y": [None, 0.5]}}
    with_null = await complete(json.dumps(listed).encode())
    labels = await complete(b'{"prediction":1,"class_name":"a"}')

    assert load(await read(several, f"{NPY}, {NPZ};q=0.5")).files == [*ARRAYS]
    for accept in (f"{NPY}, application/json;q=0.5", f"{BINARY}, {NPZ}, */*;q=0.1"):
        assert (await read(with_null, accept)).json() == listed
        assert (await read(with_null, accept, "?output=y")).json() == listed
        answer = await read(labels, accept)
        assert answer.json() == {"prediction": 1, "class_name": "a"}
        assert answer.headers["etag"] == (await read(labels)).headers["etag"]
    detail = expect_problem(await read(with_null, f"{BINARY};q=0.5, {NPZ}"), 406, "not-acceptable")
    assert "'y' has null" in detail
    detail = expect_problem(await read(labels, "application/json", "?output=y"), 406, "not-acceptable")
    assert "Ask for application/json without ?output=" in detail


async def test_strings_are_arrays_of_text_and_what_is_no_tensor_is_in_the_json(complete, read, monkeypatch):
    texts = ["a", "écoute", ""]
    data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    words = {"name": "w", "datatype": "BYTES", "shape": [3], "parameters": {"binary_data_size": len(data)}}
    maps = {"name": "m", "datatype": "FP32", "shape": [2], "data": [{"a": 0.5}, {"b": 1}]}
    job_id = await complete(write_envelope({"outputs": [words, maps]}, [data]))
    assert load(await read(job_id, NPY, "?output=w")).tolist() == texts
    assert (await read(job_id)).json() == {"outputs": {"w": texts, "m": [{"a": 0.5}, {"b": 1}]}}
    detail = expect_problem(await read(job_id, NPZ), 406, "not-acceptable")
    assert "The output 'm' is no tensor" in detail
    answer = await read(job_id, BINARY)
    head = json.loads(answer.content[: int(answer.headers["inference-header-content-length"])])
    assert head["outputs"] == [words, maps]
    assert answer.content.endswith(data)
    monkeypatch.setattr(tensor_renditions, "MOST_TEXT_BYTES", 10)
    for accept, query in ((NPY, "?output=w"), (None, "")):
        detail = expect_problem(await read(job_id, accept, query), 406, "not-acceptable")
        assert "can be had as application/octet-stream alone" in detail
    assert (await read(job_id, BINARY)).content == answer.content


async def test_maps_are_a_table_and_its_keys_and_what_is_empty_has_no_entries(complete, read):
    outputs = [
        {"name": "m", "datatype": "FP32", "shape": [2], "data": [{"7": 0.5}, {"7": "NaN"}]},
        {"name": "none", "datatype": "FP32", "shape": [], "data": None},
        {"name": "empty", "datatype": "INT64", "shape": [0], "data": []},
    ]
    outputs[0]["parameters"] = {"keys": "INT64"}
    job_id = await complete(write_envelope({"outputs": outputs}))
    arrays = load(await read(job_id, NPZ))
    assert arrays.files == ["m", "m/keys", "empty"]
    np.testing.assert_array_equal(arrays["m"], np.array([[0.5], [np.nan]], np.float32))
    assert arrays["m/keys"].tolist() == [7]
    assert (arrays["empty"].shape, arrays["empty"].dtype) == ((0,), np.int64)
    assert "'none' is absent" in expect_problem(
        await read(job_id, NPY, "?output=none"), 406, "not-acceptable"
    )
    assert "'m' is several arrays" in expect_problem(
        await read(job_id, NPY, "?output=m"), 406, "not-acceptable"
    )


async def test_what_the_encoder_says_is_the_json_and_the_tensors_are_there_too(complete, read):
    entry = {"name": "p", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    job_id = await complete(write_envelope({"outputs": [entry], "result": {"prediction": 1}}, [bytes(4)]))
    assert (await read(job_id)).json() == {"prediction": 1}
    assert (await read(job_id, query="?output=p")).json() == {"outputs": {"p": [0.0]}}
    assert load(await read(job_id, NPY)).tolist() == [0.0]


@pytest.mark.parametrize("count", [2, 40_000])
async def test_result_in_json_can_be_had_in_the_other_forms(complete, read, count):
    values = [[number / 4, "-Infinity"] for number in range(count)]
    stored = json.dumps({"outputs": {"y": values, "n": [1], "unclear": [None]}}).encode()
    job_id = await complete(stored)
    answer = await read(job_id)
    assert (answer.content, answer.headers["content-type"]) == (stored, "application/json")
    found = load(await read(job_id, NPY, "?output=y"))
    assert (found.dtype, found.shape) == (np.dtype("f8"), (count, 2))
    assert found[1].tolist()[0] == 0.25
    with load(await read(job_id, NPZ, "?output=n&output=y")) as archive:
        assert archive["n"].tolist() == [1]
        assert archive["y"][1].tolist() == [0.25, -np.inf]
    assert (await read(job_id, query="?output=unclear")).json() == {"outputs": {"unclear": [None]}}
    for accept in (NPZ, BINARY):
        assert "'unclear' has null" in expect_problem(await read(job_id, accept), 406, "not-acceptable")
    assert (await read(job_id, query="?output=n")).json() == {"outputs": {"n": [1]}}


async def test_datatypes_are_those_of_the_model_where_it_is_known(
    client, announced, consumer, redis_client, read
):
    document = announced.document.model_copy(update={"class_names": None})
    names = {tensor.name: tensor.datatype for tensor in document.outputs}
    name = next(name for name, datatype in names.items() if datatype == "FP32")
    job_id = await submit(client)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=json.dumps({"outputs": {name: [0.5]}}).encode())])
    job = (await client.get(f"/job/{job_id}")).json()
    expected = "f4" if job["model_version"] == document.version else "f8"
    assert load(await read(job_id, NPY)).dtype == np.dtype(expected)


async def test_result_that_has_no_arrays_is_json_alone(complete, read, monkeypatch):
    job_id = await complete(b'{"prediction":1,"class_name":"a"}')
    detail = expect_problem(await read(job_id, NPY), 406, "not-acceptable")
    assert "not one of arrays alone" in detail
    monkeypatch.setattr(result_negotiation, "MOST_CONVERTED_BYTES", 10)
    assert "bytes of JSON, and only up to 10" in expect_problem(
        await read(job_id, NPY), 406, "not-acceptable"
    )


@pytest.mark.parametrize(
    ("stored", "media_type"),
    [
        (b"some text", BINARY),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff" * 200_000, BINARY),
        (b"\x93INFERQ" + bytes(100_000), "application/x-inferq"),
    ],
)
async def test_what_another_program_has_stored_is_sent_as_it_is(redis_client, read, stored, media_type):
    redis_client.mset({"job:out:status": "completed", "job:out:result": stored})
    answer = await read("out")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, stored, media_type)
    assert (await read("out", BINARY)).content == stored
    assert answer.headers["etag"].startswith('W/"' if len(stored) > 65536 else '"')
    expect_problem(await read("out", "application/json"), 406, "not-acceptable")


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("accept", [NPY, NPZ, BINARY])
async def test_part_of_a_result_can_be_had_and_what_is_known_is_not_sent_again(complete, read, size, accept):
    job_id = await complete(make_result(y=np.arange(size, dtype="i8")))
    whole = await read(job_id, accept)
    etag, length = whole.headers["etag"], len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes"
    again = await read(job_id, accept, if_none_match=etag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for asked, part in (
        (f"{length // 2}-", slice(length // 2, None)),
        ("5-69", slice(5, 70)),
        ("-9", slice(-9, None)),
    ):
        answer = await read(job_id, accept, range=f"bytes={asked}", if_range=etag)
        assert (answer.status_code, answer.content) == (206, whole.content[part])
        start, end, _ = part.indices(length)
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{length}"
    assert (await read(job_id, accept, range="bytes=5-9", if_range='"other"')).content == whole.content
    beyond = await read(job_id, accept, range=f"bytes={length}-")
    assert "none of which bytes=" in expect_problem(beyond, 416, "range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{length}"


async def test_each_form_of_each_result_has_a_tag_of_its_own(complete, read):
    ids = [await complete(make_result(y=np.array([number], "i8"))) for number in (1, 2)]
    asked = [(job_id, accept) for job_id in ids for accept in (NPY, NPZ, BINARY, "application/json")]
    answers = [await read(*one) for one in asked]
    assert len({answer.headers["etag"] for answer in answers}) == len(asked)
    assert {answer.headers["vary"] for answer in answers} == {"accept"}


async def test_head_tells_of_the_result_without_reading_it(client, complete):
    job_id = await complete(make_result(y=np.zeros(100_000, "f4")))
    answer = await client.head(f"/job/{job_id}/result", headers={"accept": NPY})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(128 + 400_000)
    assert answer.headers["etag"]


async def test_job_without_a_result_says_why(client, announced, consumer, read):
    waiting = await submit(client)
    detail = expect_problem(await read(waiting), 409, "job-state")
    assert "is pending; it has no result yet" in detail
    expect_problem(await client.delete(f"/job/{waiting}/result"), 409, "job-state")
    await client.delete(f"/job/{waiting}")
    [bad] = await failed(client, consumer)
    assert "is failed: It is bad." in expect_problem(await read(bad), 409, "job-state")
    expect_problem(await read("nosuch"), 404, "job-not-found")
    expect_problem(await client.delete("/job/nosuch/result"), 404, "job-not-found")
    expect_problem(await read(bad, query="?wait=x"), 422, "invalid-input")


async def test_result_can_be_waited_for(client, announced, consumer, read):
    job_id = await submit(client)
    waiting = asyncio.create_task(read(job_id, query="?wait=60"))
    while not (jobs := consumer.claim(1)):
        await asyncio.sleep(0.01)
    consumer.finish([Outcome(job, result=b"[1]") for job in jobs])
    assert (await waiting).json() == [1]


@pytest.mark.parametrize("size", [10, 100_000])
async def test_deleted_result_is_gone_and_the_job_stays_completed(client, complete, read, redis_client, size):
    job_id = await complete(make_result(y=np.zeros(size)))
    for _ in range(2):
        answer = await client.delete(f"/job/{job_id}/result")
        assert (answer.status_code, answer.content) == (204, b"")
    assert not redis_client.exists(f"job:{job_id}:result")
    assert "its result was deleted" in expect_problem(await read(job_id), 410, "result-deleted")
    view = (await client.get(f"/job/{job_id}")).json()
    assert (view["status"], view["result"], view["error"]) == ("completed", None, None)
    assert (await client.get("/jobs?status=completed")).json()["jobs"] == [view]


async def test_result_is_for_the_key_that_submitted(settings, announced, consumer, make_client):
    keys = settings.model_copy(update={"api_keys": ",".join([entry("ann", ANN), entry("ben", BEN)])})
    client = await make_client(keys)
    data = {"data": [[5.1, 3.5, 1.4, 0.2]]}
    job_id = (await client.post("/predict", json=data, headers=bearer(ANN))).json()["job_id"]
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/job/{job_id}/result", headers=bearer(BEN))
        expect_problem(answer, 404, "job-not-found")
    assert (await client.get(f"/job/{job_id}/result", headers=bearer(ANN))).json() == 1


@pytest.mark.parametrize("accept", [NPY, NPZ, "application/json"])
async def test_large_tensor_is_never_whole_in_the_proxy(proxy, announced, consumer, accept):
    async with proxy.client() as client:
        job_id = await submit(client)
        result = make_result(y=np.zeros(2_000_000, "f4"))
        consumer.finish([Outcome(job, result=result) for job in consumer.claim(1)])
        del result
        length = 0
        tracemalloc.start()
        try:
            async with client.stream("GET", f"/job/{job_id}/result", headers={"accept": accept}) as answer:
                assert answer.status_code == 200
                async for part in answer.aiter_raw():
                    length += len(part)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert length >= 8_000_000
    assert most < 8_000_000


@pytest.mark.parametrize("data", [b"\xff" * 8, b"\4\0\0\0\xff\xff\xff\xff"])
async def test_texts_from_outside_that_are_none_are_refused_before_anything_is_sent(
    client, announced, read, redis_client, data
):
    job_id = await submit(client)
    entry = {"name": "y", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    redis_client.set(f"job:{job_id}:result", write_envelope({"outputs": [entry]}, [data]))
    redis_client.set(f"job:{job_id}:status", "completed")
    expect_problem(await read(job_id, "application/json"), 406, "not-acceptable")
    assert (await read(job_id, BINARY)).content.endswith(data)
