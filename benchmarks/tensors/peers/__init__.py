"""Other servers of models, as their guides have them; each file runs by itself in its own environment."""
