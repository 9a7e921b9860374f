import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs

from inferq.errors import InvalidModelError
from inferq.models.model_folder import load_model
from inferq.models.repository import load_each
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from tests import onnx_models
from tests.models import load_models, predict

REPOSITORY = Path(__file__).parents[3] / "models"


def refusal(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def refusal_of_card(tmp_path: Path, text: str) -> str:
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text(text)
    message = refusal(tmp_path)
    assert "model.toml" in message
    return message


def test_the_repository_of_the_project_holds_iris():
    document = load_models(REPOSITORY)["iris"].document
    digest = hashlib.sha256((REPOSITORY / "iris" / "model.onnx").read_bytes()).hexdigest()
    assert document.version == digest[:12]
    assert document.versions == [document.version]
    assert document.platform == "onnxruntime_onnx"
    assert document.inputs == [Tensor(name="features", datatype=Datatype.FP32, shape=[-1, 4])]
    assert [tensor.shape for tensor in document.outputs] == [[-1], [-1, 3]]
    assert document.class_names == ["setosa", "versicolor", "virginica"]
    assert document.feature_names is not None
    assert document.example == [[5.1, 3.5, 1.4, 0.2]]
    assert document.batched


def test_several_models_are_loaded_in_alphabetical_order_and_other_folders_passed_over(tmp_path):
    onnx_models.write_text(tmp_path / "text")
    onnx_models.write_image(tmp_path / "image")
    onnx_models.write_text(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    models = load_models(tmp_path)
    assert list(models) == ["image", "text"]
    assert [model.name for model in models.values()] == ["image", "text"]
    assert models["image"].document.inputs[0].shape == [-1, 3, -1, -1]
    assert models["text"].document.inputs[0].datatype is Datatype.BYTES
    assert models["text"].document.example is None


PASSED_OVER = {
    "triton": (
        "1/model.onnx",
        "triton",
        "It has no model.onnx, but 1/model.onnx. Move that to triton/model.onnx.",
    ),
    "other name": (
        "foo.onnx",
        "triton",
        "It has no model.onnx, but foo.onnx. Move that to triton/model.onnx.",
    ),
    "capitals": (
        "Model.ONNX",
        "triton",
        "It has no model.onnx, but Model.ONNX. Move that to triton/model.onnx.",
    ),
    "card alone": ("model.toml", "triton", "It has a model.toml, but no model.onnx. Add triton/model.onnx."),
    "in the root": ("../foo.onnx", "foo", "It has no folder of its own. Move it to foo/model.onnx."),
    "model in the root": ("../model.onnx", "model", "Move it to NAME/model.onnx"),
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_what_looks_like_a_model_and_is_none_is_named_with_what_to_do(tmp_path, case):
    file, name, reason = PASSED_OVER[case]
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "triton").mkdir()
    path = tmp_path / "triton" / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    loaded = load_each(tmp_path, load_model)
    assert list(loaded.models) == ["good"]
    assert list(loaded.left_out) == [name]
    assert reason in loaded.left_out[name]


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "round").symlink_to("round")
    left_out = load_each(tmp_path, load_model).left_out
    assert left_out["dangling"] == "It is a link to absent, which is not there. Correct or remove the link."
    assert "link to round" in left_out["round"]


def test_a_link_to_a_model_of_another_name_is_served_and_one_to_a_file_named(tmp_path):
    onnx_models.write_text(tmp_path / "elsewhere")
    repository = tmp_path / "models"
    repository.mkdir()
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    (repository / "foo.onnx").symlink_to(tmp_path / "elsewhere" / "model.onnx")
    loaded = load_each(repository, load_model)
    assert (list(loaded.models), list(loaded.left_out)) == (["linked"], ["foo"])


def test_a_file_beside_the_folder_of_its_name_does_not_take_the_name(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "good.onnx").write_bytes(b"")
    assert list(load_each(tmp_path, load_model).left_out) == ["good.onnx"]


def test_a_folder_in_which_nothing_looks_like_a_model_is_in_the_log_alone(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "notes").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").touch()
    with capture_logs() as logged:
        assert load_each(tmp_path, load_model).left_out == {}
    assert [(line["event"], line["folders"]) for line in logged] == [("folders_without_model", ["notes"])]


def test_each_model_that_is_left_out_is_one_line_of_the_log(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    for name in ("bad", "two words"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(b"no model")
    with capture_logs() as logged:
        loaded = load_each(tmp_path, load_model)
    lines = {line["model"]: line["reason"] for line in logged if line["event"] == "model_left_out"}
    assert lines == loaded.left_out
    assert list(lines) == ["bad", "two words"]
    assert lines["bad"].startswith("bad/model.onnx cannot be loaded")
    assert not any("\n" in reason for reason in lines.values())


def test_an_error_that_nobody_foresaw_leaves_one_model_out(tmp_path):
    for name in ("bad", "good"):
        onnx_models.write_text(tmp_path / name)

    def load(folder):
        if folder.name == "bad":
            raise RecursionError("too deep")
        return load_model(folder)

    loaded = load_each(tmp_path, load)
    assert list(loaded.models) == ["good"]
    assert "RecursionError: too deep" in loaded.left_out["bad"]


def test_a_strict_repository_has_no_model_that_cannot_be_served(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "foo.onnx").touch()
    with pytest.raises(InvalidModelError, match=r"Move it to foo/model.onnx"):
        load_each(tmp_path, load_model, is_strict=True)


def test_names_that_are_no_utf8_can_be_told(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    odd = os.fsdecode(b"\xff")
    try:
        shutil.copytree(tmp_path / "good", tmp_path / odd)
        (tmp_path / "link").symlink_to(odd + odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    left_out = load_each(tmp_path, load_model).left_out
    assert {"\N{REPLACEMENT CHARACTER}", "link"} == set(left_out)
    assert all(reason.isprintable() for reason in left_out.values())


def as_another_user(path, *, code):
    """What a program prints that may not read everything, as root may."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    command = [*(drop if os.geteuid() == 0 else []), sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


LOAD_AND_PRINT = """
import sys
from pathlib import Path
from inferq.errors import InvalidModelError
from inferq.models.model_folder import load_model
from inferq.models.repository import load_each
from tests.models import load_models, predict
try:
    loaded = load_each(Path(sys.argv[1]), load_model)
    print("served", *loaded.models)
    for name, reason in loaded.left_out.items():
        print("left out", name, reason)
except InvalidModelError as error:
    print("refused", error.message)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root reads everything")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, mode):
    onnx_models.write_text(tmp_path / "good")
    onnx_models.write_text(tmp_path / "secret")
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / "secret").chmod(mode)
    try:
        printed = as_another_user(tmp_path, code=LOAD_AND_PRINT)
    finally:
        (tmp_path / "secret").chmod(0o755)
    if mode == 0o100:  # nobody has to list it
        assert "served good secret" in printed
    else:
        assert "served good\n" in printed
        assert "left out secret" in printed
        assert "Check its permissions" in printed
    assert "left out lost+found" not in printed


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root reads everything")
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_repository_that_cannot_be_read_is_not_said_to_be_empty(tmp_path, mode):
    onnx_models.write_text(tmp_path / "models" / "good")
    (tmp_path / "models").chmod(mode)
    try:
        printed = as_another_user(tmp_path / "models", code=LOAD_AND_PRINT)
    finally:
        (tmp_path / "models").chmod(0o755)
    assert f"refused The model repository {tmp_path / 'models'} cannot be read: Permission denied" in printed


def test_a_folder_that_is_missing_names_the_setting(tmp_path):
    assert "INFERQ_MODELS_DIR" in refusal(tmp_path / "absent")


def test_a_folder_without_models_shows_what_is_expected(tmp_path):
    message = refusal(tmp_path)
    assert "has no models" in message
    assert str(Path("iris", "model.onnx")) in message


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08"])
def test_a_corrupt_model_is_named(tmp_path, content):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_bytes(content)
    assert "model.onnx" in refusal(tmp_path)


def test_a_truncated_model_is_named(tmp_path):
    file = onnx_models.write_image(tmp_path / "cut") / "model.onnx"
    file.write_bytes(file.read_bytes()[:-20])
    assert "cannot be loaded" in refusal(tmp_path)


def test_a_model_that_is_a_folder_is_named(tmp_path):
    (tmp_path / "bad" / "model.onnx").mkdir(parents=True)
    assert "cannot be read" in refusal(tmp_path)


def test_a_name_that_cannot_be_a_key_is_refused(tmp_path):
    onnx_models.write_text(tmp_path / "two words")
    assert "'two words' is no name for a model" in refusal(tmp_path)


def test_a_datatype_that_json_cannot_carry_is_refused(tmp_path):
    onnx_models.write(
        tmp_path / "complex",
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[onnx_models.value("x", TensorProto.BFLOAT16, ["n"])],
        outputs=[onnx_models.value("y", TensorProto.BFLOAT16, ["n"])],
    )
    message = refusal(tmp_path)
    assert "bfloat16" in message
    assert "Cast it" in message


def test_weights_in_a_file_beside_the_model_are_found(tmp_path):
    file = onnx_models.write_failing_model(tmp_path / "lookup") / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "lookup" / "weights").exists()
    assert b"40.0" in predict(load_models(tmp_path)["lookup"], b"[3]")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class_names = [", "is not valid TOML"),
        ("classes = ['a']", "'classes' is no key of a model.toml. Known keys: description, class_names"),
        ("class_names = 'a'", "'class_names' is not valid"),
        ("class_names = []", "'class_names' is not valid"),
        ("class_names = [1]", "'class_names.0' is not valid"),
        (
            "class_names = ['a', 'b']",
            "class_names has 2 names, but the output 'probabilities' (FP32, shape [-1, 3])",
        ),
        ("class_names = {a = 'b'}", "class_names has 1 names, but the output 'probabilities'"),
        ("class_names = {a = 1}", "'class_names.a' is not valid: Input should be a valid string"),
        ("feature_names = ['a']", "feature_names has 1 names"),
        ("label_output = 'probabilities'", "need class_names"),
        ("example = [[1, 2]]", "The example does not fit the model. data[0] has 2 values"),
        ("example = [[1, 2, 1979-05-27]]", "got a date"),
        ("example = [[1, 2], [1979-05-27, 1]]", "data[0] has 2 values"),
        ("example = [[1, 2, 1" + "0" * 400 + "]]", "data[0][2] must be a number between"),
        ("example = [[1, 2, 1" + "0" * 5000 + "]]", "4300 digits"),
        ("example = " + "[" * 5000 + "]" * 5000, "too deep"),
        ("non_finite = 'NaN'", "'non_finite' is not valid: Input should be 'null' or 'string'"),
        ("sample_shape = [1, 2]", "sample_shape says [1, 2] for 'scores', but the model takes 'scores'"),
        ("sample_shape = [1]", "sample_shape says [1]"),
        ("sample_shape = [10000000, 3]", "more than 5000000 values"),
        ("sample_shape = {x = [1, 3]}", "for 'x', but the model takes 'scores'"),
        ("sample_shape = [-1, 3]", "'sample_shape.0' is not valid"),
    ],
)
def test_a_card_that_is_wrong_says_what_is_wrong(tmp_path, text, reason):
    assert reason in refusal_of_card(tmp_path, text)


def test_a_card_that_is_not_utf8_is_refused(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_bytes(b"description = '\xff'")
    assert "is not UTF-8" in refusal(tmp_path)


def test_feature_names_for_several_inputs_are_refused(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("feature_names = ['a', 'b', 'c']")
    assert "only input" in refusal(tmp_path)


def test_an_example_may_be_a_table_of_named_inputs(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("[example]\ncount = [[1, 2, 3]]\nprice = [[0.5, 1, 2]]")
    model = load_models(tmp_path)["two"]
    model.warm_up()
    assert model.document.example == {"count": [[1, 2, 3]], "price": [[0.5, 1, 2]]}


def save_with_weights_outside(folder, weight, location="weights"):
    file = onnx_models.write(
        folder,
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        inputs=[onnx_models.value("x", TensorProto.FLOAT, ["n", 2])],
        outputs=[onnx_models.value("y", TensorProto.FLOAT, ["n", 2])],
        constants={"w": np.full(2, weight, dtype=np.float32)},
    )
    file = file / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location=location, size_threshold=0)
    return file


def test_version_covers_external_data(tmp_path):
    versions, digests = set(), set()
    for weight in (1, 2):
        file = save_with_weights_outside(tmp_path / "m", weight)
        versions.add(load_models(tmp_path)["m"].document.version)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
        file.with_name("weights").unlink()
    assert len(versions) == 2
    assert len(digests) == 1


def test_version_with_external_data_can_be_had_with_sha256sum(tmp_path):
    file = save_with_weights_outside(tmp_path / "m", 1)
    files = (file, file.with_name("weights"))
    lines = [f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in files]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
    assert load_models(tmp_path)["m"].document.version == expected


def test_external_data_that_is_missing_or_elsewhere_is_named(tmp_path):
    file = save_with_weights_outside(tmp_path / "m", 1)
    file.with_name("weights").rename(tmp_path / "weights")
    assert "has weights in 'weights', but" in refusal(tmp_path)
    model = onnx.load(file, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../weights"
    file.write_bytes(model.SerializeToString())
    assert "outside its folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("names", "batched"), [(["n", "n"], True), (["n", "m"], False), (["unk__1", "unk__2"], True)]
)
def test_first_axes_of_different_names_are_no_batch(tmp_path, names, batched):
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("Relu", [one], [f"{one}_out"]) for one in "ab"],
        inputs=[
            onnx_models.value(one, TensorProto.FLOAT, [name, 2])
            for one, name in zip("ab", names, strict=True)
        ],
        outputs=[onnx_models.value(f"{one}_out", TensorProto.FLOAT, [None, 2]) for one in "ab"],
    )
    model = load_models(tmp_path)["m"]
    assert model.document.batched is batched
    assert (model.dependence is None) is batched
    (folder / "model.toml").write_text("batch = true")
    model = load_models(tmp_path)["m"]
    assert model.document.batched
    assert model.dependence is None


def test_a_card_may_begin_with_a_byte_order_mark(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_bytes(b"\xef\xbb\xbfdescription = 'as of an editor on Windows'")
    assert load_models(tmp_path)["soft"].document.description == "as of an editor on Windows"


def test_an_example_may_hold_numbers_beyond_64_bits_and_none_at_all(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text("example = [[100000000000000000000, nan, -inf]]")
    model = load_models(tmp_path)["soft"]
    model.warm_up()
    assert model.sample()["scores"][0, 0] == np.float32(1e20)
    assert ModelDocument.from_json(model.document.to_json()).example == [[10**20, "NaN", "-Infinity"]]
