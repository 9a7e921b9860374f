"""Shadow comparison: jobs that run on another version too."""
