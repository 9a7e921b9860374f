"""The worker process: waits for jobs, runs their model, stores what came out."""
