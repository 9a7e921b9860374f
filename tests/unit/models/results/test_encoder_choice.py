import pytest

from inferq.errors import InvalidModelError
from inferq.models.config import ModelConfig
from inferq.models.results.classifier_encoder import ClassifierEncoder
from inferq.models.results.encoder_choice import choose_encoder
from inferq.models.results.encoders import TensorEncoder
from inferq.tensors.signature import Datatype, Tensor

NAMES = ["a", "b", "c"]
LABEL = Tensor(name="label", datatype=Datatype.INT64, shape=[-1])
SCORES = Tensor(name="scores", datatype=Datatype.FP32, shape=[-1, 3])


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c", "d"]])
def test_class_names_of_another_number_than_the_probabilities_are_refused(names):
    with pytest.raises(InvalidModelError, match=f"class_names has {len(names)} names, but .* 3 columns"):
        choose_encoder([LABEL, SCORES], ModelConfig(class_names=names))
    with pytest.raises(InvalidModelError, match=f"class_names has {len(names)} names, but .* 3 columns"):
        choose_encoder([LABEL, SCORES], ModelConfig(class_names=names, probabilities_output="scores"))


def test_an_output_that_is_no_probabilities_may_be_left_aside():
    config = ModelConfig(class_names=["a", "b"], probabilities_output="")
    assert choose_encoder([LABEL, SCORES], config) == ClassifierEncoder(["a", "b"], "label", None)


def test_outputs_are_found_by_shape_and_type():
    other = Tensor(name="hidden", datatype=Datatype.FP32, shape=[-1, 8])
    chosen = choose_encoder([other, SCORES, LABEL], ModelConfig(class_names=NAMES))
    assert chosen == ClassifierEncoder(NAMES, "label", "scores")


def test_outputs_named_in_the_configuration_are_taken_even_where_their_shape_is_unknown():
    unknown = Tensor(name="unknown", datatype=Datatype.FP32, shape=[])
    config = ModelConfig(class_names=NAMES, probabilities_output="unknown")
    assert choose_encoder([SCORES, unknown], config) == ClassifierEncoder(NAMES, None, "unknown")


def test_a_model_without_class_names_is_no_classifier():
    assert isinstance(choose_encoder([LABEL, SCORES], ModelConfig()), TensorEncoder)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (ModelConfig(class_names=["a", "b"], label_output="scores"), "No output named 'scores' fits"),
        (ModelConfig(class_names=NAMES, label_output="absent"), "No output named 'absent' fits"),
        (ModelConfig(label_output="label"), "need class_names"),
    ],
)
def test_a_configuration_that_does_not_fit_the_outputs_is_refused(config, reason):
    with pytest.raises(InvalidModelError, match=reason):
        choose_encoder([LABEL, SCORES], config)


def test_class_names_without_a_fitting_output_are_refused():
    other = Tensor(name="price", datatype=Datatype.FP32, shape=[-1])
    with pytest.raises(InvalidModelError, match=r"no output fits a classifier: .* shape \[-1, 2\]"):
        choose_encoder([other], ModelConfig(class_names=["a", "b"]))
