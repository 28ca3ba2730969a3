"""LoRA: low-rank changes of a model's weights (arXiv 2106.09685), as a condition beside steering vectors."""
