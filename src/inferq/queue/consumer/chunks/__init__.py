"""Chunks of large jobs in the queue."""
