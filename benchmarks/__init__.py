"""What prints the numbers of README.md."""
