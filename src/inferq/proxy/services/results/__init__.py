"""Results in the form that is asked for, read from where they are stored."""
