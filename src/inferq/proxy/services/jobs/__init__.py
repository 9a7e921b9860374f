"""Jobs from their submission to their end, as clients see and follow them."""
