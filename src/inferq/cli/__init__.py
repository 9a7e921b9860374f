"""Commands for users of a service: they talk to its proxy over HTTP, as the Python client does."""
