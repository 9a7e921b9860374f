"""Recovery: what dead workers have left behind."""
