"""Changes of jobs as they happen."""
