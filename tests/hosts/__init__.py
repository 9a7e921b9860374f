"""Proxy, workers and Redis on hosts of their own, in network namespaces, and a network that fails."""
