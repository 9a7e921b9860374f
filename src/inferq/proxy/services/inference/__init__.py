"""The Open Inference Protocol, translated onto the same jobs."""
