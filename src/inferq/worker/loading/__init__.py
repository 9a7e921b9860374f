"""Loading models: from the repository to what may serve, and what changes there."""
