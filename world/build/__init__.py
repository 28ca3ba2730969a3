"""The embedded world: corpus, tokenizer, tiny model and autoencoders."""
