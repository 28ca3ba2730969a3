"""Completions, scores, selection and metrics."""
