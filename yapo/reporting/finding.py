"""What a study found, as the report page shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yapo.errors import YapoError
from yapo.files import read_json, write_json


@dataclass(frozen=True)
class Finding:
    """One study in the report.

    Attributes:
        name: the target that makes it.
        title: its heading.
        question: what it asks, in one sentence.
        reading: what a reader may take from its numbers: a short paragraph made from them, or several lines.
        limits: what it does not show.
        made: the models and settings that it does not share with the main study; one sentence.
        tables, figures: names of its files under ``tables/`` and ``figures/``, without ending.
        pages: further pages, relative to the study's folder.
    """

    name: str
    title: str
    question: str
    reading: str
    limits: tuple[str, ...] = ()
    made: str = ""
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Finding:
        """Read what ``save`` wrote."""
        values = read_json(path)
        try:
            fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
            return cls(**fields)
        except (AttributeError, TypeError) as error:
            raise YapoError(f"{path}: not a finding of a study ({error}); delete it and run that study again") from None
