"""Documents of models, as much of them as a client looks at."""


def document_of(*shape, datatype="FP32", features=None):
    inputs = [{"name": "x", "datatype": datatype, "shape": list(shape)}]
    return {"name": "m", "inputs": inputs, "feature_names": features}


SEVERAL_INPUTS = {
    "name": "m",
    "inputs": [
        {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "name", "datatype": "BYTES", "shape": [-1]},
    ],
    "feature_names": None,
}
