"""The proxy: the HTTP interface. Knows neither ONNX Runtime nor, beyond `queue.producer`, Redis."""
