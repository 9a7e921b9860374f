"""Shadow jobs in the queue, and what they find."""
