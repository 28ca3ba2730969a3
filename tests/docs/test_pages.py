"""Every block of the README and of ``docs/`` does what its page says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yapo.config import Config
from yapo.config.compose import plain
from yapo.errors import YapoError

from . import project
from .commands import check
from .pages import blocks, pages

PAGES = pages(project.ROOT)


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what went wrong on each page, in a copy of the project."""
    folder = project.copy(tmp_path_factory.mktemp("docs") / "project", quick=True)
    report = folder.with_name("report.json")
    command = [sys.executable, "-m", "tests.docs.quick", str(report)]
    done = subprocess.run(command, cwd=folder, env=project.environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = json.loads(report.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.slow
def test_page(page: str, failures: dict[str, list[str]]) -> None:
    assert not failures[page], "\n\n".join(failures[page])


def test_every_block_has_a_mark() -> None:
    for page in PAGES:
        assert all(block.kind for block in blocks(project.ROOT, page))


def settings(tree: dict[str, Any], before: str = "") -> Iterator[str]:
    """The keys of all settings."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from settings(value, f"{before}{key}.")
        else:
            yield before + key


def test_every_setting_has_its_line() -> None:
    """Settings of single studies stand in ``yapo/studies/<name>/``, as the page says."""
    text = "".join((project.ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in ("configuration", "judges"))
    whole = ("studies.", "sae.train.", "judge.parameters.", "judge.name")
    keys = [key for key in settings(plain(Config())) if not key.startswith(whole)]
    assert [key for key in keys if f"`{key}`" not in text] == []


@pytest.mark.parametrize(
    ("above", "language"),
    [
        ("", "bash"),
        ("Text.", "bash"),
        ("<!-- end -->", "bash"),
        ("<!-- run: soon -->", "bash"),
        ("<!-- not run -->", "bash"),
        ("<!-- file -->", "yaml"),
        ("<!-- run -->", "yaml"),
        ("<!-- prints -->", "bash"),
        ("<!-- run -->\n\nText.", "bash"),
    ],
)
def test_a_block_needs_a_mark_that_fits(above: str, language: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"{above}\n```{language}\nmake\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page.md:\d+: "):
        blocks(tmp_path, "page.md")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("make tset", "tset"),
        ("snakemake --cores 8 all_tabels", "all_tabels"),
        ("snakemake --cores 8 country_egpyt", "country_egpyt"),
        ("snakemake --config experimnt=smoke -- all_tables", "experimnt"),
        ("snakemake --config overrides=train.epoch=3 -- all_tables", "train.epoch"),
        ("snakemake --config 'method_overrides={yopa: train.lr=1}' -- all_tables", "yopa"),
        ("snakemake --forcerun trian -- all_tables", "trian"),
        ("python -m yapo.stages.trian", "yapo.stages.trian"),
        ("python -m yapo.stages.train train.learning=1", "train.learning"),
    ],
)
def test_a_command_with_a_typing_error_is_found(command: str, named: str) -> None:
    with pytest.raises((ValueError, YapoError), match=named):
        check(command)
