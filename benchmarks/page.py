"""Put the measured tables into docs/speed.md, between its markers.

python -m benchmarks.page

``<!-- table: NAME: TITLE -->`` is followed by the table TITLE (or all tables whose title starts with it) of results/NAME.json,
and of NAME-cuda.json where there is one, up to ``<!-- end -->``. ``<!-- machine -->`` is followed by what it was measured on,
``<!-- skipped -->`` by the shapes that were left out and why.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import RESULTS, Cell, shown
from yapo.files import read_json, write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "speed.md"
MARKER = re.compile(r"(<!-- (table: [^>]+?|machine|skipped) -->\n)(?:.*?)(<!-- end -->)", re.DOTALL)


def rendered(text: str, results: Path) -> str:
    """The page with every marked place filled from ``results``."""
    return MARKER.sub(lambda match: f"{match[1]}{_content(match[2], results)}{match[3]}", text)


def _content(marker: str, results: Path) -> str:
    if marker == "machine":
        return _machines(results)
    if marker == "skipped":
        reasons = {path.stem: read_json(path)["skipped"] for path in sorted(results.glob("*.json"))}
        return "".join(f"- `{name}` on that machine: {reason}.\n" for name, why in reasons.items() for reason in why)
    _, name, title = (part.strip() for part in marker.split(":", 2))
    parts = []
    for path in (results / f"{name}.json", results / f"{name}-cuda.json"):
        if path.exists():
            found = read_json(path)
            parts += [f"*{key}*\n\n{table(rows)}" for key, rows in found["tables"].items() if key.startswith(title)]
    return "\n" + "\n".join(parts) + "\n" if parts else f"\nNot measured yet: run `python -m benchmarks.{name}`.\n\n"


def table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """A Markdown table; columns of nothing but NaN are left out."""
    columns = [key for key in rows[0] if not all(row[key] != row[key] for row in rows)]  # without those that are all NaN
    numeric = [isinstance(rows[0][key], int | float) for key in columns]
    lines = [" | ".join(columns), " | ".join("--:" if number else ":--" for number in numeric)]
    lines += [" | ".join(shown(row[key]) for key in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _machines(results: Path) -> str:
    lines: dict[str, list[str]] = {}
    for path in sorted(results.glob("*.json")):
        found = read_json(path)
        machine = found["machine"] | found["versions"]
        text = ", ".join(f"{key} {value}" for key, value in machine.items()) + (", QUICK run" if found["quick"] else "")
        lines.setdefault(text, []).append(path.stem)
    return "\n" + "".join(f"- {', '.join(names)}: {text}\n" for text, names in lines.items()) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    write_text(PAGE, rendered(PAGE.read_text(encoding="utf-8"), folder))
