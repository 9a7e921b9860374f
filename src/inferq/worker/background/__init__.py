"""What goes on beside the main loop, each part on a thread of its own."""
