"""ONNX files as they are, read without ONNX Runtime and without their weights."""
