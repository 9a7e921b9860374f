"""Several key spaces, on as many servers or on a Redis Cluster, as one queue."""
