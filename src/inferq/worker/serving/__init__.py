"""Which version of which model serves which queue at this moment."""
