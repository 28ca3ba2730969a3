"""The command ``yapo``, one module a group of commands. They import only typer at their top: the rest when a command runs."""
