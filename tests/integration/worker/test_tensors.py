"""Arrays on their way through the real queue and a real worker, which give what NumPy gives."""

import numpy as np

from inferq.queue.producer.submission import Submission
from inferq.tensors.signature import Datatype
from tests import onnx_models
from tests.integration.worker.processes import ended
from tests.tensors import make_envelope, make_npy, make_npz, read_outputs

MODELS = {
    "types": onnx_models.write_every_type,
    "any": onnx_models.write_any_shape,
    "scaled": onnx_models.write_scaled,
    "decoder": onnx_models.write_decoder,
    "fixed": onnx_models.write_fixed_batch,
    "maps": onnx_models.write_zip_map,
    "prices": onnx_models.write_two_by_two,
}
NAN, INF = float("nan"), float("inf")


def floats(*values, dtype="float32"):
    return np.array(values, dtype=dtype)


def make_types(rows):
    """An input of each datatype that NumPy has; the values at its limits, and what is no number."""
    arrays = {"x_BYTES": np.array([["", "花"], ["é" * 300, "a\0b"]][:rows], dtype=object).reshape(rows, 2)}
    for datatype in (one for one in Datatype if one.is_in_numpy):
        if datatype.is_float:
            values = floats(
                [NAN, -INF], [datatype.limits[1], -0.0], dtype=datatype.lower().replace("fp", "float")
            )
            arrays[f"x_{datatype}"] = values[:rows]
        elif datatype.is_integer:
            low, high = datatype.limits
            arrays[f"x_{datatype}"] = np.array([[low, high], [1, high]], dtype=datatype.lower())[:rows]
    return arrays | {"x_BOOL": np.array([[True, False], [False, False]])[:rows]}


def rename(arrays):
    return {name.replace("x_", "y_"): array for name, array in arrays.items()}


ROW = floats([0.5, NAN])
PRICES = {"count": np.array([[1, 0, 2]]), "price": floats([0.5, 2, INF], dtype="float64")}
FREE, TOTAL = np.array([[False, True, False]]), floats([0.5, 0, INF], dtype="float64")
ONES = np.ones((2, 1, 2), "f4")
CASES = [
    *(
        ("types", write(make_types(rows)), rename(make_types(rows)))
        for write in (make_envelope, make_npz)
        for rows in (2, 1, 0)
    ),
    *(
        ("any", write({"x": array}), {"y": np.maximum(array, 0)})
        for write in (make_envelope, lambda arrays: make_npy(*arrays.values()))
        for array in (floats(-2)[0], floats(3)[0], floats(INF, -1), floats([[]], [[]]), floats([[1]], [[-1]]))
    ),
    ("any", make_npy(np.asfortranarray(floats([1, 2], [3, 4]).astype(">f4"))), {"y": floats([1, 2], [3, 4])}),
    ("scaled", make_npy(ROW), {"y": 10 * ROW}),
    ("scaled", make_npz({"x": ROW, "scale": floats(2)}), {"y": 2 * ROW}),
    (
        "decoder",
        make_npz({"x": ONES, "past": ONES[:, :0]}),
        {"present": ONES},
    ),
    ("fixed", make_npy(np.ones((2, 3), "f4")), {"y": np.full((2, 3), 2, "f4")}),
    (
        "maps",
        make_npy(floats([1, 0], [0, INF])),
        {"label": np.array([0, 1]), "probabilities": [{"0": 1, "1": 0}, {"0": 0, "1": "Infinity"}]},
    ),
    ("prices", make_envelope(PRICES, ["is_free"]), {"is_free": FREE}),
    ("prices", make_envelope(PRICES, ["is_free", "total", "is_free"]), {"is_free": FREE, "total": TOTAL}),
]
REFUSED = [
    ("prices", make_envelope(PRICES, ["sum"]), 'outputs names "sum"'),
    ("prices", make_envelope({"count": PRICES["count"]}), "lacks the input 'price'"),
    ("fixed", make_npy(np.ones((2, 3))), "FP64"),
    ("fixed", make_npy(np.ones((2, 4), "f4")), "[2, 3]"),
    ("scaled", make_npy(ROW)[:-1], "bytes"),
    ("types", make_npz({}), "lacks the input"),
]


async def test_arrays_come_back_as_numpy_has_them(start_worker, producer, tmp_path):
    for name, write in MODELS.items():
        write(tmp_path / name)
    ids = [await producer.submit(Submission(model, data)) for model, data, _ in (*CASES, *REFUSED)]
    start_worker(models_dir=tmp_path)
    jobs = [await ended(producer, job_id) for job_id in ids]
    for (model, _, expected), job in zip(CASES, jobs, strict=False):
        assert job.error is None, model
        got = read_outputs(job.result)
        assert got.keys() == expected.keys()
        for name, values in expected.items():
            if isinstance(values, list):
                assert got[name] == values
                continue
            assert (got[name].dtype, got[name].shape) == (values.dtype, values.shape), (model, name)
            np.testing.assert_array_equal(got[name], values)
    for (model, _, reason), job in zip(REFUSED, jobs[len(CASES) :], strict=True):
        assert (job.error_kind, reason in job.error) == ("invalid-input", True), (model, job.error)
