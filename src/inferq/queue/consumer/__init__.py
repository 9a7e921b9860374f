"""The side of the queue that runs jobs: claim, settle, leases, recovery."""
