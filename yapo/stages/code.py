"""The code that a stage's result depends on: what its module imports, at any depth."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

METHODS = Path("steering/methods")

# Reading, writing, naming and checking: what every stage shares and no result depends on.
PLUMBING = {
    "config",
    "errors.py",
    "files.py",
    "names.py",
    "stages/app.py",
    "stages/code.py",
    "stages/command_line.py",
    "stages/conf.py",
    "stages/inputs.py",
    "stages/options.py",
    "stages/reads.py",
    "stages/study.py",
}
# Where items come from: what that code makes reaches the stages after ``data`` as files.
DATA = {"data/atlas.py", "data/schema.py", "data/sources.py"}


@lru_cache
def code_of(stage: str) -> tuple[Path, ...]:
    """Files of this package that make the result of ``yapo/stages/<stage>.py``, itself included."""
    left_out = PLUMBING if stage == "data" else PLUMBING | DATA
    reached, ahead = set[Path](), [PACKAGE / "stages" / f"{stage}.py"]
    while ahead:
        file = ahead.pop()
        place = file.relative_to(PACKAGE)
        if file not in reached and not left_out & {str(part) for part in (place, *place.parents)}:
            reached.add(file)
            ahead += _imports(file)
            if place == METHODS / "__init__.py":  # which imports a method when its name is asked for
                ahead += file.parent.rglob("*.py")
    return tuple(sorted(reached))


@lru_cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports, at any place in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    places = [PACKAGE.parent.joinpath(*name.split(".")) for name in names if name.split(".")[0] == PACKAGE.name]
    files = [place / "__init__.py" if place.is_dir() else place.with_suffix(".py") for place in places]
    return frozenset(file for file in files if file.is_file())
