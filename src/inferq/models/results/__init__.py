"""What becomes of outputs: results as JSON or tensors, joined, and compared."""
