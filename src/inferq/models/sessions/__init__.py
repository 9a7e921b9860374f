"""What runs a model: ONNX Runtime's session, and those that make its values of arrays."""
