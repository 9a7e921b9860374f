"""Trains the model of handwritten digits and exports it: `python -m inferq.models.digits [folder [picture]]`.

It needs the development dependencies scikit-learn and skl2onnx, which no running program of inferq does.
"""

from pathlib import Path
from typing import Any

from inferq.models.example_export import explain_missing_module, read_paths, write_model

FOLDER = Path("docs/examples/digits")
PICTURE = Path("docs/examples/digit.png")
KEPT_OUT = 450
"""So many of the 1,797 digits, the last ones, are kept from training."""

_CONFIG = """\
description = "Reads a handwritten digit, light on dark, of any size (neural network on 8 x 8 pixels)."
class_names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
example = {example}

[image]
resize = "letterbox"
size = [8, 8]
interpolation = "box"
color = "grey"
scale = {scale} # 16/255: the data set has values from 0 to 16
"""


def train() -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Returns a scikit-learn network with 64 hidden units, fitted to all digits but those kept out.

    The data set is that of `sklearn.datasets.load_digits`: a part of UCI's "Optical Recognition of
    Handwritten Digits" (Alpaydin and Kaynak, 1998).
    """
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    network = MLPClassifier((64,), alpha=1.0, max_iter=400, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # more rounds read no better
        return network.fit(digits.data[:-KEPT_OUT], digits.target[:-KEPT_OUT])


def export(folder: Path, network: Any = None) -> Path:  # noqa: ANN401 - scikit-learn has no types
    """Writes `model.onnx` and `model.toml`.

    Args:
        folder: Where to; created if need be.
        network: The fitted network; None to train one.

    Returns:
        The path of the ONNX file.
    """
    from onnx import TensorProto, helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_digits

    model = to_onnx(
        network if network is not None else train(),
        initial_types=[("features", FloatTensorType([None, 64]))],
        options={"zipmap": False},
        name="digits",  # otherwise a random one
        target_opset=17,
    )
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 1, 8, 8])
    model.graph.input[0].CopyFrom(pixels)
    model.graph.node.insert(0, helper.make_node("Flatten", ["pixels"], ["features"], axis=1))
    example = load_digits().images[-1].astype(int).tolist()
    config = _CONFIG.format(example=[[example]], scale=16 / 255)
    return write_model(folder, model.SerializeToString(), config)


def measure(file: Path) -> float:
    """Returns the share of the digits kept out that a model reads rightly."""
    import onnxruntime as ort
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images[-KEPT_OUT:, None].astype("float32")
    [labels] = ort.InferenceSession(file).run(["label"], {"pixels": images})
    return float((labels == digits.target[-KEPT_OUT:]).mean())


def write_picture(path: Path) -> None:
    """Writes one of the digits kept out, a 7, as a picture of 128 × 128 pixels."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    index = int(np.flatnonzero(digits.target[-KEPT_OUT:] == 7)[0]) - KEPT_OUT
    pixels = np.rint(digits.images[index] * (255 / 16)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((128, 128), Image.Resampling.NEAREST).save(path, optimize=True)


def main() -> None:
    """Exports to the files given on the command line, by default the repository's own."""
    folder, picture = read_paths("python -m inferq.models.digits [FOLDER [PICTURE]]", [FOLDER, PICTURE])
    with explain_missing_module("digits"):
        file = export(folder)
        write_picture(picture)
    print(f"{file}: {file.stat().st_size} bytes, reads {measure(file):.1%} of {KEPT_OUT} other digits")


if __name__ == "__main__":
    main()
