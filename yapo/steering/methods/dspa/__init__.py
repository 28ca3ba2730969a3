"""DSPA, dynamic SAE steering (arXiv 2603.21461): an edit that depends on the prompt."""
