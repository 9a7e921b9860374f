"""The side of the queue that submits jobs."""
