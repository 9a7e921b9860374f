import math
import threading
from pathlib import Path

import numpy as np
import orjson
import pytest
from onnx import helper
from structlog.testing import capture_logs

from inferq.errors import InvalidInputError, InvalidModelError, ModelError
from inferq.models.repository.model_folder import load_model
from tests import onnx_models
from tests.models import predict, run_job

IRIS = Path(__file__).parents[3] / "models" / "iris"


def test_a_model_that_is_no_classifier_gives_its_outputs_by_name(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "prices")
    data = {"count": [[1, 0, 2**53], [3, 4, -5]], "price": [[0.1, 2, 1], [1.5, 0, 1e300]]}
    assert run_job(folder, data) == {
        "outputs": {
            "total": [[0.1, 0.0, 2.0**53], [4.5, 0.0, -5e300]],
            "is_free": [[False, True, False], [False, True, False]],
        }
    }


def test_a_fixed_batch_is_one_row(tmp_path):
    model = load_model(onnx_models.write_fixed_batch(tmp_path / "fixed"))
    job = model.decode(b"[[1, 2, 3], [4, 5, 6.5]]")
    assert job.rows == 1
    assert orjson.loads(model.encode(model.run(job.inputs), [job])[0]) == {
        "outputs": {"y": [[2, 4, 6], [8, 10, 13]]}
    }


def test_jobs_decoded_together_are_as_each_alone():
    model = load_model(IRIS)
    datas = [b"[[5.1,3.5,1.4,0.2]]", b"[[1,2,3,4],[0.1,1e-40,-3,3e38]]", b" [ [0,0,0,16777217] ] "]
    together = model.decode_together(datas)
    assert together is not None
    for data, job in zip(datas, together, strict=True):
        alone = model.decode(data)
        [[name, array]] = alone.inputs.items()
        assert list(job.inputs) == [name]
        assert job.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(job.inputs[name], array)
        assert job.rows == alone.rows == len(array)


UNFIT = [
    b"[[1,2,3]]", b"[]", b"[[1,2,3,4],[1]]", b'[["1",2,3,4]]', b"[[1e39,0,0,0]]", b"{}", b"nonsense",
    b"[[1,2,3,4]", b"7", b"null", b'{"float_input":[[1,2,3,4]]}', b"[[1,2,3,4]],[[5,6,7,8]]", b"[1,2,3,4]",
]  # fmt: skip


@pytest.mark.parametrize("unfit", UNFIT)
def test_jobs_are_not_decoded_together_where_one_does_not_fit(unfit):
    assert load_model(IRIS).decode_together([b"[[1,2,3,4]]", unfit, b"[[1,2,3,4]]"]) is None


def test_jobs_are_not_decoded_together_where_one_has_too_many_rows():
    model = load_model(IRIS, max_rows=2)
    row = [1, 2, 3, 4]
    assert model.decode_together([orjson.dumps([row] * count) for count in (1, 2, 1)]) is not None
    assert model.decode_together([orjson.dumps([row] * count) for count in (1, 3, 1)]) is None


def test_jobs_whose_rows_may_differ_are_not_decoded_together(tmp_path):
    image, text = onnx_models.write_image(tmp_path / "image"), onnx_models.write_text(tmp_path / "text")
    assert load_model(text).decode_together([b'["a"]', b'["b"]']) is None
    for sizes in ((1, 1), (1, 2)):
        datas = [orjson.dumps([[[[0] * size]] * 3]) for size in sizes]
        assert load_model(image).decode_together(datas) is None
    two = load_model(onnx_models.write_two_by_two(tmp_path / "two"))
    assert two.decode_together([orjson.dumps({"count": [[1, 2]], "price": [[1, 2]]})] * 2) is None


def test_strings_go_in_and_come_out(tmp_path):
    folder = onnx_models.write_text(tmp_path / "text")
    assert run_job(folder, ["", "アヤメ", "a\0b"]) == {"outputs": {"loud": ["!", "アヤメ!", "a\0b!"]}}


def test_half_floats_go_in_and_come_out(tmp_path):
    folder = onnx_models.write_half(tmp_path / "half")
    assert run_job(folder, [[0.25, 1]]) == {"outputs": {"y": [[0.5, 2.0]]}}


def test_images_of_any_size_are_arrays_of_four_axes(tmp_path):
    folder = onnx_models.write_image(tmp_path / "image")
    image = [[[0, 10, 20], [30, 40, 50]], [[1] * 3] * 2, [[255] * 3] * 2]
    assert run_job(folder, [image, image]) == {"outputs": {"colour": [[25, 1, 255]] * 2}}


def test_a_single_value_is_data_without_brackets(tmp_path):
    assert run_job(onnx_models.write_scalar(tmp_path / "log"), math.e) == {"outputs": {"y": pytest.approx(1)}}


def test_nan_and_infinity_in_an_output_become_null(tmp_path):
    folder = onnx_models.write_scalar(tmp_path / "log")
    assert run_job(folder, -1) == run_job(folder, 0) == {"outputs": {"y": None}}


def test_nan_and_infinity_in_an_output_become_strings_where_the_configuration_says_so(tmp_path):
    folder = onnx_models.write_scalar(tmp_path / "log")
    (folder / "model.toml").write_text('non_finite = "string"')
    assert [run_job(folder, x) for x in (-1, 0, "Infinity", 1)] == [
        {"outputs": {"y": y}} for y in ("NaN", "-Infinity", "Infinity", 0)
    ]
    soft = onnx_models.write_softmax(tmp_path / "soft")
    (soft / "model.toml").write_text('class_names = ["a", "b", "c"]\nnon_finite = "string"')
    assert run_job(soft, [[0, None, 1]]) == {
        "prediction": None,
        "class_name": None,
        "probabilities": ["NaN"] * 3,
    }


def test_float32_is_written_as_its_shortest_decimal_beside_words_for_others(tmp_path):
    folder = onnx_models.write_imputer(tmp_path / "imputer")
    (folder / "model.toml").write_text('non_finite = "string"')
    assert predict(load_model(folder), b'[[0.971,"Infinity"]]') == b'{"outputs":{"y":[[0.971,"Infinity"]]}}'


@pytest.mark.parametrize(
    "data",
    [b'[[null,"NaN"],["Infinity","-Infinity"]]', b"[[NaN,null],[Infinity,-Infinity]]"],
)
def test_missing_and_infinite_values_reach_a_model_of_floats_in_every_spelling(tmp_path, data):
    model = load_model(onnx_models.write_imputer(tmp_path / "imputer"))
    [array] = model.decode(data).inputs.values()
    np.testing.assert_array_equal(array, np.array([[math.nan] * 2, [math.inf, -math.inf]], dtype=np.float32))
    assert orjson.loads(predict(model, b"[[null,1]]")) == {"outputs": {"y": [[7, 1]]}}


def test_missing_values_are_decoded_together_with_others(tmp_path):
    model = load_model(onnx_models.write_imputer(tmp_path / "imputer"))
    together = model.decode_together([b"[[1,2]]", b'[[null,"Infinity"]]'])
    assert together is not None
    np.testing.assert_array_equal(together[1].inputs["x"], np.array([[math.nan, math.inf]], dtype=np.float32))


def test_the_word_nan_is_text_to_a_model_of_strings(tmp_path):
    folder = onnx_models.write_text(tmp_path / "text")
    assert run_job(folder, ["NaN", "Infinity"]) == {"outputs": {"loud": ["NaN!", "Infinity!"]}}
    with pytest.raises(InvalidInputError, match="must be a string, got null"):
        run_job(folder, ["NaN", None])


def test_an_empty_cache_begins_a_decoder(tmp_path):
    folder = onnx_models.write_decoder(tmp_path / "decoder")
    assert run_job(folder, {"x": [[[1, 1]]], "past": [[]]}) == {"outputs": {"present": [[[1, 1]]]}}
    assert run_job(folder, {"x": [[], []], "past": [[], []]}) == {"outputs": {"present": [[], []]}}


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ([-1, -1, 3], [[], []], (2, 0, 3)),
        ([-1, -1, 3], [], (0, 0, 3)),
        ([2, 0, 3], [[], []], (2, 0, 3)),
        ([0, 4], [], (0, 4)),
        ([1, -1, 2, -1], [[]], (1, 0, 2, 0)),
        ([-1, 2, -1], [[[], []]], (1, 2, 0)),
    ],
)
def test_the_signature_tells_the_axes_that_an_empty_array_does_not(tmp_path, shape, data, expected):
    folder = onnx_models.write(
        tmp_path / "same",
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[onnx_models.value("x", onnx_models.FP32, [size if size >= 0 else None for size in shape])],
        outputs=[onnx_models.value("y", onnx_models.FP32, [size if size >= 0 else None for size in shape])],
    )
    model = load_model(folder)
    assert model.decode(orjson.dumps(data)).inputs["x"].shape == expected
    assert run_job(folder, data) == {"outputs": {"y": np.zeros(expected).tolist()}}


def test_no_rows_give_results_without_rows(tmp_path):
    assert run_job(IRIS, []) == {"prediction": [], "class_name": [], "probabilities": []}
    two = onnx_models.write_two_by_two(tmp_path / "two")
    assert run_job(two, {"count": [], "price": []}) == {"outputs": {"total": [], "is_free": []}}


def test_an_input_of_unknown_rank_takes_any_array(tmp_path):
    folder = onnx_models.write_any_shape(tmp_path / "any")
    for data, result in ((-2, 0), ([1, -2], [1, 0]), ([[[3]], [[-4]]], [[[3]], [[0]]]), ([[], []], [[], []])):
        assert run_job(folder, data) == {"outputs": {"y": result}}
    model = load_model(folder)
    assert model.document.inputs[0].is_unranked
    assert not model.document.batched
    for data, reason in (
        ("[[1],[2,3]]", "others have 1"),
        ("[" * 40 + "]" * 40, "deeper than 32"),
        ('["a"]', "a number"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            model.decode(data.encode())


def test_an_input_with_a_default_may_be_left_out(tmp_path):
    model = load_model(onnx_models.write_scaled(tmp_path / "scaled"))
    model.warm_up()
    assert orjson.loads(predict(model, b"[[1,2]]")) == {"outputs": {"y": [[10, 20]]}}
    assert orjson.loads(predict(model, b'{"x":[[1,2]],"scale":[2]}')) == {"outputs": {"y": [[2, 4]]}}
    plain, other = model.decode(b"[[1,2]]"), model.decode(b'{"x":[[1,2]],"scale":[2]}')
    assert model.make_sharing_key(plain) == model.make_sharing_key(model.decode(b"[[3,4],[5,6]]"))
    assert model.make_sharing_key(other) not in (model.make_sharing_key(plain), model.make_sharing_key(other))
    with pytest.raises(InvalidInputError, match=r"lacks the input 'x'. Expected .*, and perhaps 'scale'"):
        model.decode(b'{"scale":[2]}')


def test_a_model_without_inputs_runs(tmp_path):
    model = load_model(onnx_models.write_constant(tmp_path / "constant"))
    model.warm_up()
    for data in (b"[]", b"{}"):
        assert orjson.loads(predict(model, data)) == {"outputs": {"y": [1, 2]}}
    for data in (b"[1]", b"null", b'{"x":[1]}'):
        with pytest.raises(InvalidInputError, match="no inputs"):
            model.decode(data)


def test_maps_come_out_as_objects(tmp_path):
    folder = onnx_models.write_zip_map(tmp_path / "zipped", ["cat", "dog"])
    assert predict(load_model(folder), b"[[0.971,0],[0,1]]") == (
        b'{"outputs":{"label":["cat","dog"],"probabilities":[{"cat":0.971,"dog":0.0},{"cat":0.0,"dog":1.0}]}}'
    )
    output = load_model(folder).document.outputs[1]
    assert (output.datatype, output.shape) == ("FP32", [-1])
    assert output.onnx_type == "seq(map(string,tensor(float)))"


def test_maps_are_shared_out_to_the_jobs_of_a_batch(tmp_path):
    model = load_model(onnx_models.write_zip_map(tmp_path / "zipped"))
    jobs = [model.decode(data) for data in (b"[[1,0]]", b"[[0,1],[2,0]]")]
    assert [orjson.loads(result)["outputs"]["probabilities"] for result in model.predict_together(jobs)] == [
        [{"0": 1, "1": 0}],
        [{"0": 0, "1": 1}, {"0": 2, "1": 0}],
    ]


def test_sequences_of_tensors_come_out_and_are_never_shared(tmp_path):
    for write, one, two in (
        (onnx_models.write_outlooks, [[[0.1, 1]], [[0.2, 2]]], [[[0.1, 1], [3, 4]], [[0.2, 2], [6, 8]]]),
        (onnx_models.write_split_rows, [[0.1, 1]], [[0.1, 1], [3, 4]]),
    ):
        model = load_model(write(tmp_path / write.__name__))
        [[_, got]] = orjson.loads(predict(model, b"[[0.1,1]]"))["outputs"].items()
        assert got == one
        [[_, got]] = orjson.loads(predict(model, b"[[0.1,1],[3,4]]"))["outputs"].items()
        assert got == two
        with pytest.raises(ModelError, match="one entry for each"):
            model.predict_together([model.decode(b"[[0.1,1]]")] * 2)


def test_a_sample_shape_stands_for_a_long_example(tmp_path):
    folder = onnx_models.write_image(tmp_path / "image")
    (folder / "model.toml").write_text("sample_shape = [2, 3, 8, 9]")
    model = load_model(folder)
    assert model.make_sample().inputs["image"].shape == (2, 3, 8, 9)
    assert np.shape(model.document.make_data()["image"]) == (2, 3, 8, 9)
    assert not model.decode(orjson.dumps(model.document.make_data())).inputs["image"].any()
    two = onnx_models.write_two_by_two(tmp_path / "two")
    (two / "model.toml").write_text("sample_shape = {count = [4, 3], price = [4, 3]}")
    assert {array.shape for array in load_model(two).make_sample().inputs.values()} == {(4, 3)}


def test_float32_is_written_with_its_own_shortest_decimal(tmp_path):
    model = load_model(onnx_models.write_fixed_batch(tmp_path / "fixed"))
    outputs = {"y": np.array([0.971, 1e-7], dtype=np.float32), "z": np.array(0.1, dtype=np.float32)}
    assert model.encode(outputs, [model.make_sample()])[0] == b'{"outputs":{"y":[0.971,1e-7],"z":0.1}}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[[1, 2, 3, nan]]",
        b"[[1, 2, 3, 1e999]]",
        b"[NaN" * 3000,
        b"\xff",
        b"[" * 3000,
        b'["\\ud800"]',
        b"[[1, 2, 3]]",
    ],
)
def test_data_from_outside_that_cannot_be_read_is_refused(data):
    with pytest.raises(InvalidInputError):
        load_model(IRIS).decode(data)


def test_rows_beyond_the_limit_are_refused():
    with pytest.raises(InvalidInputError, match="at most 1 "):
        load_model(IRIS, max_rows=1).decode(b"[[1, 2, 3, 4], [1, 2, 3, 4]]")


def test_one_model_runs_in_several_threads_at_once():
    model = load_model(IRIS)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(predict(model, b"[[5.1, 3.5, 1.4, 0.2]]")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    "write",
    [
        onnx_models.write_two_by_two,
        onnx_models.write_fixed_batch,
        onnx_models.write_text,
        onnx_models.write_half,
        onnx_models.write_image,
        onnx_models.write_scalar,
    ],
)
def test_a_model_without_an_example_is_warmed_up_with_zeros(write, tmp_path):
    with capture_logs() as logged:
        load_model(write(tmp_path / "model")).warm_up()
    assert "model_not_warmed_up" not in [line["event"] for line in logged]


def test_zeros_that_fail_do_not_keep_a_model_from_serving(tmp_path):
    with capture_logs() as logged:
        load_model(onnx_models.write_reshape(tmp_path / "reshape")).warm_up()
    assert "model_not_warmed_up" in [line["event"] for line in logged]


def test_a_model_that_fails_on_its_own_example_cannot_be_served(tmp_path):
    folder = onnx_models.write_failing_model(tmp_path / "lookup")
    (folder / "model.toml").write_text("example = [7]")
    with pytest.raises(InvalidModelError, match="fails on its own example"):
        load_model(folder).warm_up()


@pytest.mark.parametrize(("most_bytes", "rows"), [(10**6, [1, 8]), (100, [1, 3]), (10, [1, 1])])
def test_a_warm_up_of_several_rows_is_bounded_in_bytes(tmp_path, monkeypatch, most_bytes, rows):
    monkeypatch.setattr("inferq.models.model._MOST_WARM_UP_BYTES", most_bytes)  # a row has 12 and 20
    folder = onnx_models.write_labelled_softmax(tmp_path / "m", [0, 1, 2])
    (folder / "model.toml").write_text('class_names = ["a", "b", "c"]')
    model, tried = load_model(folder), []
    run = model.run
    model.run = lambda inputs, handle: tried.append(len(*inputs.values())) or run(inputs, handle)
    model.warm_up()
    assert tried == rows
