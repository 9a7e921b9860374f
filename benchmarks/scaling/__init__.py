"""Simulates a service on Kubernetes, scaled by jobs that wait and by seconds of work."""
