"""SmolLM2-135M-Instruct, a small real model: how to get it, and its autoencoder."""
