"""Text files with places for values (Jinja templates)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from yapo.reporting import numbers
from yapo.reporting.names import label

_ENVIRONMENT = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {
    "number": numbers.number,
    "change": numbers.change,
    "short": numbers.short,
    "percent": numbers.percent,
    "interval": numbers.interval,
    "with_interval": numbers.with_interval,
    "plural": numbers.plural,
    "label": lambda key, kind: label(kind, key),
    "by_method": lambda values, digits=2: ", ".join(
        f"{label('method', m)} {numbers.number(v, digits)}" for m, v in values.items()
    ),
}


def render(path: Path, **values: Any) -> str:
    """Return the text of a template with its values; a missing value is an error, and nothing is escaped."""
    return _ENVIRONMENT.from_string(path.read_text(encoding="utf-8")).render(**values)


def render_blocks(path: Path, **values: Any) -> dict[str, str]:
    """Return the text of each ``{% block name %}`` of a template, by name, without blank lines."""
    template = _ENVIRONMENT.from_string(path.read_text(encoding="utf-8"))
    context = template.new_context(values)
    texts = {name: "".join(block(context)) for name, block in template.blocks.items()}
    return {name: "\n".join(line.strip() for line in text.splitlines() if line.strip()) for name, text in texts.items()}
