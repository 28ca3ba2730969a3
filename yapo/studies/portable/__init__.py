"""Vectors that need no autoencoder."""
