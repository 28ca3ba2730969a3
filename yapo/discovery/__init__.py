"""Search for the layer to steer."""
