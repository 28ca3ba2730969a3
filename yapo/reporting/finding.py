"""A study's finding as the report page shows it: its text from a template, and its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from yapo.errors import YapoError
from yapo.files import read_json, write_json
from yapo.reporting import numbers
from yapo.reporting.names import label

_ENVIRONMENT = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {
    "number": numbers.number,
    "change": numbers.change,
    "short": numbers.short,
    "nats": numbers.nats,
    "percent": numbers.percent,
    "interval": numbers.interval,
    "with_interval": numbers.with_interval,
    "plural": numbers.plural,
    "label": lambda key, kind: label(kind, key),
    "by_method": lambda values, digits=2: ", ".join(
        f"{label('method', m)} {numbers.number(v, digits)}" for m, v in values.items()
    ),
}


@dataclass(frozen=True)
class Finding:
    """One study in the report.

    Attributes:
        name: the target that makes it.
        title: its heading.
        question: what it asks, in one sentence.
        reading: what a reader may take from its numbers; a line is a paragraph.
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

    @classmethod
    def from_template(
        cls,
        name: str,
        title: str,
        template: Path,
        values: Mapping[str, Any],
        tables: Iterable[str] = (),
        figures: Iterable[str] = (),
        pages: Iterable[str] = (),
    ) -> Finding:
        """Return a finding whose texts are the blocks ``question``, ``reading``, ``limits`` and ``made`` of a template.

        A line of ``reading`` is a paragraph, one of ``limits`` an entry; the last two blocks may be missing.
        """
        text = render_blocks(template, **values)
        limits = tuple(text.get("limits", "").splitlines())
        files = (tuple(tables), tuple(figures), tuple(pages))
        return cls(name, title, text["question"], text["reading"], limits, text.get("made", ""), *files)

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


def render_blocks(path: Path, **values: Any) -> dict[str, str]:
    """Return the text of each ``{% block name %}`` of a template, by name, without blank lines.

    A value that the template names and that is not given is an error. Nothing is escaped.
    """
    template = _ENVIRONMENT.from_string(path.read_text(encoding="utf-8"))
    context = template.new_context(values)
    texts = {name: "".join(block(context)) for name, block in template.blocks.items()}
    return {name: "\n".join(line.strip() for line in text.splitlines() if line.strip()) for name, text in texts.items()}
