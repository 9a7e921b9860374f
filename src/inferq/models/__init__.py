"""The worker's side of models: how they are loaded, run, and how their outputs become results.

ONNX Runtime is imported here only. What proxy and client need of a model is in `inferq.tensors`.
"""

import os

# ONNX Runtime's published builds send telemetry unless told not to before they are imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
