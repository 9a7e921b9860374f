"""HTTP as the interface speaks it: bodies, preferences, authentication, problems, schemas."""
