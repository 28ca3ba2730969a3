"""Language models and sparse autoencoders, frozen."""
