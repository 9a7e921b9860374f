"""Bodies of requests: how they arrive, and how they are parsed."""
