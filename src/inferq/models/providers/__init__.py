"""On what a model runs: ONNX Runtime's execution providers."""
