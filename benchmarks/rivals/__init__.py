"""What inferq is compared with: other queues and the seed document's loop, as their users write them."""
