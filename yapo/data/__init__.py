"""Items: sources, schema, split, prompts, preference pairs."""
