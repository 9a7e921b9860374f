"""`inferq models check`: what a worker would do with a model."""
