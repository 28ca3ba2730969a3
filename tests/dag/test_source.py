"""Facts read off source files: digests without prose, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.dag.source import PACKAGE, facts_of, parse


def test_prose_and_layout_change_no_digest() -> None:
    texts = {
        "code": "def f(x):\n    return x + 1\n",
        "prose": '"""A module."""\n\n# A comment.\ndef f(x):\n    """Add one."""\n    return (x  +  1)\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    code, prose, other = (parse(text.encode()).digest for text in texts.values())
    assert code == prose != other


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py"))[::9], ids=lambda path: path.name)
def test_what_is_kept_of_a_file_is_what_stands_in_it(path: Path) -> None:
    assert facts_of(path) == parse(path.read_bytes())
