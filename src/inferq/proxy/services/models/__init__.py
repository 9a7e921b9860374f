"""What the proxy knows of models, their versions and rollouts, and how it changes that."""
