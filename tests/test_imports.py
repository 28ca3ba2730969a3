"""The architecture, read off the import statements: arrows point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "yapo"
FILES = sorted(PACKAGE.rglob("*.py"))
UPPER = {"steering", "evaluation", "discovery", "reporting", "stages", "tracking", "world", "studies", "dag"}
# Room -> rooms it must not import.
FORBIDDEN = {
    "config": (UPPER - {"studies"}) | {"data", "models"},
    "data": UPPER | {"models"},
    "models": UPPER,
    "steering": {"studies", "evaluation", "discovery", "reporting", "stages", "tracking", "world"},
    "evaluation": {"studies", "discovery", "reporting", "stages", "tracking", "world"},
    "discovery": {"studies", "reporting", "stages", "tracking", "world"},
    "reporting": {"studies", "discovery", "stages", "tracking", "world"},
    "tracking": {"studies", "steering", "evaluation", "discovery", "models", "stages", "world"},
    "world": {"studies", "stages", "tracking", "reporting"},
    "stages": {"studies"},
    "studies": {"tracking", "world"},
    "dag": {"tracking", "world"},
}
FRAMEWORKS = {"hydra", "omegaconf", "snakemake", "mlflow"}
MAY_USE = {"hydra": {"config"}, "omegaconf": {"config", "stages", "studies"}, "snakemake": set[str](), "mlflow": {"tracking"}}


def room(path: Path) -> str:
    """The folder of the package a file is in, or its own name where it stands at the top."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Dotted names of every import statement, wherever it stands; relative ones in full."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ("yapo", *path.relative_to(PACKAGE).parts)[: -node.level]
                base = ".".join((*package, base)).rstrip(".")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path: Path) -> None:
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("yapo.")}
    assert rooms & FORBIDDEN.get(room(path), set()) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_frameworks_stay_at_the_edge(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)} & FRAMEWORKS
    assert {name for name in used if room(path) not in MAY_USE[name]} == set()


def test_every_room_has_its_rule() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(FORBIDDEN)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_slow_imports_stay_out_of_hot_jobs(path: Path) -> None:
    """sae-lens and mlflow take seconds; whatever needs them imports them where it does."""
    top = {
        name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert {name.split(".")[0] for name in top} & {"sae_lens", "mlflow"} == set()


def test_nothing_unpickles() -> None:
    for path in FILES:
        assert {name.split(".")[0] for name in imported(path)} & {"pickle", "joblib", "dill", "shelve"} == set(), path
