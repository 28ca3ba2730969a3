"""Training of steering vectors by preference."""
