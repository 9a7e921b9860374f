"""What several routes share: submitting jobs, following them, the catalogue of models."""
