"""What prints the figures for arrays and pictures, beside other servers of models."""
