"""The examples in the docstrings of the package's plain functions."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import yapo
from tests.conftest import ROOT

FUNCTIONS = sorted(name for name in yapo.__all__ if name != "SteeringVector")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_runs_and_shows_what_it_returns(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the world, as in a clone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "world").symlink_to(ROOT / "world")
    function = getattr(yapo, name)
    found = doctest.DocTestFinder().find(function, name, globs={})
    assert sum(len(test.examples) for test in found) > 0, f"yapo.{name} has no example"
    for test in found:
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
        assert not report, "".join(report)
