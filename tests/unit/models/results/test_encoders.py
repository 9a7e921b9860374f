import numpy as np
import orjson

from inferq.models.results.classifier_encoder import ClassifierEncoder
from inferq.models.results.encoders import TensorEncoder


def encode(encoder: ClassifierEncoder, rows: int | None, **outputs: np.ndarray) -> object:
    [result] = encoder.encode(outputs, None if rows is None else [rows])
    return orjson.loads(result)


def test_a_tensor_of_any_layout_is_encoded():
    outputs = {
        "strided": np.arange(6).reshape(2, 3)[:, 1],
        "empty": np.zeros((2, 0), dtype=np.float32),
        "big": np.array([2**64 - 1], dtype=np.uint64),
        "text": np.array([["a"], ["花"]], dtype=object),
        "flag": np.array(True),
    }
    assert orjson.loads(TensorEncoder().encode(outputs, [1])[0]) == {
        "outputs": {
            "strided": [1, 4],
            "empty": [[], []],
            "big": [2**64 - 1],
            "text": [["a"], ["花"]],
            "flag": True,
        }
    }
