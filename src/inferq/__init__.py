"""Any ONNX model as an asynchronous inference service."""
