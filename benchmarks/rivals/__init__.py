"""What inferq is compared with: other queues and the seed document's loop, each as its users would write it."""
