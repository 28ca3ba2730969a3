"""Check what every refusal of bad input has in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from yapo.errors import YapoError


def refused(call: Callable[[], object], *parts: str) -> str:
    """Run a call that must refuse in one sentence, which names these parts and, behind a semicolon, what to do."""
    line = refused_value(call, *parts)
    assert line.rpartition("; ")[2].strip() not in ("", line), line
    return line


def refused_value(call: Callable[[], object], *parts: str) -> str:
    """Run a call that must refuse a setting in one sentence, which names these parts; the rule that it breaks is the fix."""
    with pytest.raises(YapoError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 700, line
    assert [part for part in parts if part not in line] == [], line
    return line


def contents(folder: Path) -> dict[str, str]:
    """Name and digest of every file of a folder, to see that nothing was written or changed."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
