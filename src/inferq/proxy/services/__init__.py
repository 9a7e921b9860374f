"""What several routes share: submitting jobs, following them, the model catalogue, health."""
