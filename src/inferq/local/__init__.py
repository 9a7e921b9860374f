"""The whole service on this machine: supervised processes, and an embedded server."""
