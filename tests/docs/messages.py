"""Texts of the code in which a user's error can be found again: what is constant in them, with holes for values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FEWEST = 20  # characters that must be constant, for a text to tell one error from another


def patterns(root: Path) -> list[re.Pattern[str]]:
    """Return a pattern for each text of the package that is long enough: a whole message, or the end of one."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted((root / "yapo").rglob("*.py")))
    found = {text for tree in trees for text in _texts(tree)}
    return [re.compile(text, re.DOTALL) for text in sorted(found)]


def _texts(tree: ast.Module) -> Iterator[str]:
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            parts = [None, node.value]
        else:
            continue
        texts = [part for part in parts if isinstance(part, str)]
        if sum(map(len, texts)) >= FEWEST and len(texts) + parts.count(None) == len(parts):
            yield "".join(".*" if part is None else re.escape(part) for part in parts)
