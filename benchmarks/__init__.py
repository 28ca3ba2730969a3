"""Speed and memory of the training core; see docs/speed.md. Run as modules: ``python -m benchmarks.training_step``."""
