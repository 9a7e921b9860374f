"""What data may be, and how it is written: used by proxy, worker and client alike. No ONNX Runtime."""
