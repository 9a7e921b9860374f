"""Large jobs, which are divided into chunks."""
