"""Documents of models, as much of them as a client looks at."""

import json


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


def write_document(name, *, version="0123456789ab", **tensors):
    """The document of a model that a worker may announce: `x…` are inputs, all others outputs."""
    described = [
        {"name": tensor, "datatype": datatype, "shape": shape}
        for tensor, (datatype, shape) in tensors.items()
    ]
    document = {
        "name": name,
        "version": version,
        "versions": [version],
        "inputs": [one for one in described if one["name"].startswith("x")],
        "outputs": [one for one in described if not one["name"].startswith("x")],
    }
    return json.dumps(document).encode()
