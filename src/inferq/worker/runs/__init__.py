"""From claimed jobs to their outcomes: decoding, batches, runs of the model, limits."""
