"""What is in the queue: jobs, numbers, workers and models."""
