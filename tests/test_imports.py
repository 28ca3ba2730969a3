"""The architecture, read off the import statements: arrows point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "yapo"
UPPER = {
    *("steering", "evaluation", "discovery", "reporting", "curation", "stages", "tracking"),
    *("studies", "dag", "exchange", "api", "serving", "cli"),
}
# Room -> rooms it must not import.
FORBIDDEN = {
    "config": (UPPER - {"studies", "steering"}) | {"data", "models"},
    "data": UPPER | {"models"},
    "models": UPPER,
    "steering": {"studies", "evaluation", "discovery", "reporting", "stages", "tracking", "exchange", "api", "serving", "cli"},
    "exchange": {"studies", "evaluation", "discovery", "reporting", "stages", "tracking", "dag", "api", "serving", "cli"},
    "evaluation": {"studies", "discovery", "reporting", "stages", "tracking", "exchange", "api", "serving", "cli"},
    "discovery": {"studies", "reporting", "stages", "tracking", "exchange", "api", "serving", "cli"},
    "reporting": {"studies", "discovery", "stages", "tracking", "exchange", "api", "serving", "cli"},
    "curation": {"steering", "discovery", "studies", "stages", "tracking", "dag", "exchange", "api", "serving", "cli"},
    "tracking": {"studies", "steering", "evaluation", "discovery", "models", "stages", "api", "serving", "cli"},
    "stages": {"studies", "api", "serving", "cli"},
    "studies": {"tracking", "api", "serving", "cli"},
    "dag": {"tracking", "api", "serving", "cli"},
    "api": {"studies", "stages", "reporting", "tracking", "dag", "serving", "cli"},
    "serving": {"studies", "discovery", "reporting", "stages", "tracking", "exchange", "dag", "api", "cli"},
    "cli": {"studies", "stages", "tracking", "dag"},
}
for room in ("steering", "exchange", "evaluation", "discovery", "reporting", "tracking", "api", "serving", "cli"):
    FORBIDDEN[room].add("curation")
MAY_USE = {
    "hydra": {"config"},
    "omegaconf": {"config", "stages", "studies"},
    "snakemake": set[str](),
    "mlflow": {"tracking"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
}
SLOW = {"sae_lens", "mlflow"}  # they take seconds; whatever needs them imports them where it does
# What a command imports, and libraries that it must not pay for.
INSPECTING = ("yapo.cli.inspect", "yapo.api.inspect", "yapo.models.sae_places")
STEERING = ("yapo.cli.steer", "yapo.cli.vectors", "yapo.api.answers", "yapo.api.models", "yapo.steering.steer")
OF_STUDIES = {"pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "pandera", "pydantic", "hydra", "omegaconf"} | SLOW


def imported(path: Path, nodes: Iterable[ast.AST]) -> set[str]:
    """Dotted names of the import statements among ``nodes``; relative ones in full."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ("yapo", *path.relative_to(PACKAGE).parts)[: -node.level]
                base = ".".join((*package, base)).rstrip(".")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


@pytest.fixture(scope="module")
def imports() -> dict[Path, tuple[str, set[str], set[str]]]:
    """Of every file its room (a folder of the package, or a module at its top), all its imports, and those at its top level."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(PACKAGE)
        found[name] = (name.with_suffix("").parts[0], imported(path, ast.walk(tree)), imported(path, tree.body))
    return found


def first(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_arrows_point_one_way(imports: dict[Path, tuple[str, set[str], set[str]]]) -> None:
    for path, (room, names, _) in imports.items():
        rooms = {name.split(".")[1] for name in names if name.startswith("yapo.")}
        assert rooms & FORBIDDEN.get(room, set()) == set(), path


def test_every_room_has_its_rule() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(FORBIDDEN)


def test_frameworks_stay_at_the_edge(imports: dict[Path, tuple[str, set[str], set[str]]]) -> None:
    for path, (room, names, _) in imports.items():
        assert {name for name in first(names) & MAY_USE.keys() if room not in MAY_USE[name]} == set(), path


def test_slow_imports_stay_out_of_hot_jobs(imports: dict[Path, tuple[str, set[str], set[str]]]) -> None:
    for path, (_, _, at_the_top) in imports.items():
        assert first(at_the_top) & SLOW == set(), path


@pytest.mark.parametrize(("modules", "spared"), [(STEERING, OF_STUDIES), (INSPECTING, OF_STUDIES | {"transformers"})])
def test_a_vector_alone_is_light(
    imports: dict[Path, tuple[str, set[str], set[str]]], modules: tuple[str, ...], spared: set[str]
) -> None:
    tops = {path.with_suffix("").as_posix().removesuffix("/__init__"): at_the_top for path, (_, _, at_the_top) in imports.items()}
    waiting, seen, used = list(modules), set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        used.add(name.split(".")[0])
        module = name.removeprefix("yapo.").replace(".", "/")
        if name.startswith("yapo.") and module in tops and name not in seen:
            seen.add(name)
            waiting += [*tops[module], name.rpartition(".")[0]]
    assert set(modules) <= seen
    assert used & spared == set()


def test_nothing_needs_the_code_that_makes_the_world(imports: dict[Path, tuple[str, set[str], set[str]]]) -> None:
    for path, (_, names, _) in imports.items():
        assert "world" not in first(names), path
