"""The end of a command by Ctrl-C."""

from __future__ import annotations


class Interruption(Exception):
    """A stop by Ctrl-C; the message says how to go on."""
