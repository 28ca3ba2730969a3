"""Curation: a benchmark of paired multiple-choice questions made from seed questions, one module for each step."""
