"""What stands below the application: the fast path, and limits on connections."""
