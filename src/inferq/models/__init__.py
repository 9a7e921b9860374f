"""Models: what they take and give, and, on the worker's side only, how they are run.

`signature` and `validation` need pydantic alone, so that the proxy can use them. ONNX Runtime, NumPy and
orjson are imported by `repository`, `session`, `tensors` and `results`, which belong to the worker.
"""
