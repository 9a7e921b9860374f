"""Claiming jobs: waiting for them, in which order, and ahead of time."""
