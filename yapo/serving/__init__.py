"""The server behind ``yapo serve``: OpenAI's endpoints for a model whose every answer may be steered differently."""
