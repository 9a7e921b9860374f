"""The proxy: the HTTP interface. It needs no ONNX Runtime, and reaches Redis through `inferq.queue` alone."""
