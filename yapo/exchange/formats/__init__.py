"""Formats of other tools: a module each, whose ``FORMAT`` writes a direction. It is imported when it is first asked for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

from yapo.errors import unknown
from yapo.exchange.direction import Direction, Positions


class Format(Protocol):
    """A format that vectors are exported to.

    Attributes:
        suffix: ending of the file's name; empty for a folder.
        positions: tokens of a row that its tool steers.
        lowest_layer: the first block that its tool can steer.
        is_pickle: whether the tool reads the file by unpickling it, which can run code.
    """

    suffix: str
    positions: Positions
    lowest_layer: int
    is_pickle: bool

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """Write the file, whole or not at all, and what belongs beside it; return all that was written."""


def format_names() -> list[str]:
    """Return the name of every format, in alphabetical order, with hyphens as typed on a command line."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def get_format(name: str) -> Format:
    """Import the format of that name.

    Raises:
        YapoError: there is none.
    """
    if name not in format_names():
        raise unknown("format", "to", name, format_names())
    found: Format = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").FORMAT
    return found
