"""Which layer to steer."""
