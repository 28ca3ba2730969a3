"""Vectors: what they do, how they are trained, how they are kept."""
