"""Steering vectors: edits of the residual stream, methods, training and files."""
