"""The record of what is lost, beside a file that has no place for it."""

from __future__ import annotations

from pathlib import Path

from yapo.exchange.direction import Direction
from yapo.files import write_json


def write_record(direction: Direction, path: Path) -> Path:
    """Write ``<name>.lost.json`` beside an exported file, and return its path."""
    beside = path.with_suffix(".lost.json")
    write_json(beside, direction.record())
    return beside
