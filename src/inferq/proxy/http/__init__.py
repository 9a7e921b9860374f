"""HTTP: bodies, preferences, authentication, rules for all requests, problems, schemas."""
