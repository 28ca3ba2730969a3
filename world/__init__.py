"""The embedded world: data, models and autoencoders that ship with the project, and the code that makes them."""
