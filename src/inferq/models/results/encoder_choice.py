"""The choice of a model's encoder, by its outputs and its `model.toml`."""

from collections.abc import Callable

from inferq.errors import InvalidModelError
from inferq.models.config import ModelConfig
from inferq.models.results.classifier_encoder import ClassifierEncoder, enumerate_labels
from inferq.models.results.encoders import ResultEncoder, TensorEncoder
from inferq.tensors.signature import Datatype, Tensor


def choose_encoder(outputs: list[Tensor], config: ModelConfig) -> ResultEncoder:
    """Returns the encoder for a model with these outputs and this config.

    Raises:
        InvalidModelError: `model.toml` makes the model a classifier, but its outputs do not fit; or it
            names outputs without class names.
    """
    if config.class_names is None:
        if config.label_output or config.probabilities_output or config.activation:
            raise InvalidModelError(
                "label_output, probabilities_output and activation need class_names. Add them."
            )
        return TensorEncoder(config.non_finite)
    count = len(config.class_names)
    label = _find_output(outputs, config.label_output, _holds_labels)
    _check_number(outputs, config.probabilities_output, count)
    probabilities = _find_output(
        outputs, config.probabilities_output, lambda tensor: _holds_probabilities(tensor, count)
    )
    if label is None and probabilities is None:
        found = ", ".join(str(tensor) for tensor in outputs)
        raise InvalidModelError(
            f"class_names has {count} names, but no output fits a classifier: expected integers or strings "
            f"of shape [-1], or floats of shape [-1, {count}], got {found}. Name one as label_output or "
            "probabilities_output, or remove class_names."
        )
    if probabilities is None and config.activation:
        raise InvalidModelError("activation needs an output of logits. Name it as probabilities_output.")
    names, labels = config.class_names, None
    if isinstance(names, dict):
        labels = _read_labels(names, label, probabilities, outputs)
        names = [*names.values()]
    return ClassifierEncoder(names, label, probabilities, labels, config.non_finite, config.activation)


def _find_output(outputs: list[Tensor], name: str | None, fits: Callable[[Tensor], bool]) -> str | None:
    if name is None:
        return next((tensor.name for tensor in outputs if tensor.shape and fits(tensor)), None)
    if not name:
        return None
    for tensor in outputs:
        # an unknown shape shows as empty: then model.toml is trusted, and the outputs of each run are checked
        if tensor.name == name and (not tensor.shape or fits(tensor)):
            return name
    found = ", ".join(str(tensor) for tensor in outputs)
    raise InvalidModelError(f"No output named {name!r} fits its role in model.toml. The model has {found}.")


def _check_number(outputs: list[Tensor], name: str | None, count: int) -> None:
    """Refuses class names if their number is not that of the columns of the only possible probabilities."""
    named = [tensor for tensor in outputs if name in (None, tensor.name)]
    tables = [
        tensor
        for tensor in named
        if len(tensor.shape) == 2 and tensor.datatype.is_float and tensor.shape[1] > 1
    ]
    if len(tables) == 1 and not any(_holds_probabilities(tensor, count) for tensor in named):
        raise InvalidModelError(
            f"class_names has {count} names, but the output {tables[0]} has {tables[0].shape[1]} columns. "
            'Give one name for each; or, if they are no probabilities, say probabilities_output = "".'
        )


def _holds_labels(tensor: Tensor) -> bool:
    return (
        tensor.onnx_type is None
        and (len(tensor.shape) == 1 or tensor.shape[1:] == [1])
        and (tensor.datatype.is_integer or tensor.datatype is Datatype.BYTES)
    )


def _holds_probabilities(tensor: Tensor, count: int) -> bool:
    if tensor.onnx_type is not None:
        return tensor.onnx_type.startswith("seq(map(")
    return len(tensor.shape) == 2 and tensor.datatype.is_float and tensor.shape[1] in (-1, count)


def _read_labels(
    names: dict[str, str], label: str | None, probabilities: str | None, outputs: list[Tensor]
) -> list[int | str]:
    """Returns the keys of a table of names as the labels in the model's outputs: keys in TOML are strings."""
    [tensor] = [tensor for tensor in outputs if tensor.name == (label or probabilities)]
    if tensor.datatype is Datatype.BYTES or (tensor.onnx_type or "").startswith("seq(map(string"):
        return [*names]
    try:
        return [int(key) for key in names]
    except ValueError as error:
        if label is None and tensor.onnx_type is None:
            return [*names]
        raise InvalidModelError(
            f"class_names has the labels {enumerate_labels([*names])}, but those of the output {tensor} are "
            "whole numbers. Write these."
        ) from error
