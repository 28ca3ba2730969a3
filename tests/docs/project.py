"""A copy of the project in which the pages run: everything as it is, but the embedded study is small."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from .pages import Block

ROOT = Path(__file__).resolve().parents[2]


def copy(folder: Path, *, quick: bool = False) -> Path:
    """Copy the project, without results and caches, and make its studies small. Results that are there stay.

    Args:
        quick: make the embedded study as small as the tests need.
    """
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "results")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    small = _read(Path(__file__).with_name("small.yaml"))
    more = small.pop("quick")
    small["embedded"] = merged(small["embedded"], more) if quick else small["embedded"]
    for experiment, settings in small.items():
        path = folder / "conf" / "experiment" / f"{experiment}.yaml"
        text = yaml.safe_dump(merged(_read(path), settings), allow_unicode=True, sort_keys=False)
        path.write_text(f"# @package _global_\n{text}", encoding="utf-8")
    for program in ("python", "snakemake"):  # programs that make finds in an environment
        path = folder / ".venv" / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {quote(str(Path(sys.executable).with_name(program)))} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    (folder / ".venv" / "bin" / ".ready").touch()
    return folder


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``more`` in their place."""
    both = {**base, **more}
    for key in base.keys() & more.keys():
        if isinstance(base[key], dict) and isinstance(more[key], dict):
            both[key] = merged(base[key], more[key])
    return both


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a shell in the copy whose environment is active, without network."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own}


@contextmanager
def pristine(folder: Path, blocks: list[Block]) -> Iterator[None]:
    """Put the files that a page writes back afterwards."""
    paths = {folder / block.value for block in blocks if block.kind in ("file", "edit")}
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)


def write(folder: Path, block: Block) -> None:
    """Write the file of a block marked "file", or edit that of one marked "edit"."""
    path = folder / block.value
    if block.kind == "file":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for new in block.text.splitlines():
        if new.strip() == "...":
            continue
        start = new.partition(" import ")[0].partition(" = ")[0]
        (place,) = (number for number, line in enumerate(lines) if line.partition(" import ")[0].partition(" = ")[0] == start)
        lines[place] = new
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def differs(expected: Block, printed: str) -> str:
    """Return what is wrong with the output of a block, or nothing."""
    if OutputChecker().check_output(expected.text, printed, ELLIPSIS | NORMALIZE_WHITESPACE):
        return ""
    return f"the page shows\n{expected.text}\nbut this was printed:\n{printed}"


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
