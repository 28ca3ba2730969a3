"""Studies of why a vector works, one folder each."""
