"""Large data and results, in the blob store or beside the scripts."""
