"""Trains the iris model and exports it: `python -m inferq.models.iris [folder]`.

It needs the development dependencies scikit-learn and skl2onnx, which no running program of inferq does.
"""

from pathlib import Path
from typing import Any

from inferq.models.example_export import explain_missing_module, read_paths, write_model

FOLDER = Path("models/iris")

_CONFIG = """\
description = "Tells three species of iris apart by four lengths in centimetres (logistic regression)."
class_names = ["setosa", "versicolor", "virginica"]
feature_names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
example = [[5.1, 3.5, 1.4, 0.2]]
"""


def train() -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Returns a scikit-learn pipeline fitted to all 150 flowers of Fisher's data set (1936).

    Logistic regression on standardised features is convex: fitted to a tight tolerance, it comes out the same
    everywhere, without a seed.
    """
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    flowers = load_iris()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=10_000))
    return pipeline.fit(flowers.data, flowers.target)


def export(folder: Path, pipeline: Any = None) -> Path:  # noqa: ANN401 - scikit-learn has no types
    """Writes `model.onnx` and `model.toml`; the same versions of the libraries write the same bytes.

    Args:
        folder: Where to; created if need be.
        pipeline: The fitted pipeline; None to train one.

    Returns:
        The path of the ONNX file.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(
        pipeline if pipeline is not None else train(),
        initial_types=[("features", FloatTensorType([None, 4]))],
        options={"zipmap": False},
        name="iris",  # otherwise a random one
        target_opset=17,
    )
    return write_model(folder, model.SerializeToString(), _CONFIG)


def main() -> None:
    """Exports to the folder given on the command line, by default the repository's own."""
    [folder] = read_paths("python -m inferq.models.iris [FOLDER]", [FOLDER])
    with explain_missing_module("iris"):
        file = export(folder)
    print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
