"""Facts about the package's source files that decide what reruns, read off their syntax trees and kept beside the bytecode."""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from yapo.errors import YapoError
from yapo.files import write_json

PACKAGE = Path(__file__).resolve().parents[1]
_RESOURCE = re.compile(r"[\w.-]+\.(j2|css|txt|yaml)")
_KEPT = Path(__file__).parent / "__pycache__" / f"source.{sys.implementation.cache_tag}.json"


@dataclass(frozen=True)
class SourceFacts:
    """A source file as ``reruns`` needs it.

    Attributes:
        digest: of its code; comments, docstrings and layout do not count.
        imports: dotted names that it imports, at any place in it, but for types alone; each may be a module or a name in one.
        resources: names of templates and lists that it names; they count where they stand beside it.
        reads: the literal ``READS`` of a stage; none in other files.
        compares_countries: the literal ``COMPARES_COUNTRIES`` of a method; false in other files.
        classes: a digest for each class with methods other than ``__post_init__``, of those methods.
    """

    digest: str
    imports: list[str]
    resources: list[str]
    reads: list[str] | None
    compares_countries: bool
    classes: dict[str, str]


def file_of(module: str) -> Path:
    """Return the file of a module or package."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def facts_of(path: Path) -> SourceFacts:
    """Read a source file, or what was kept of it if it is unchanged since."""
    key, stamp, kept = str(path.relative_to(PACKAGE)), _stamp(path), _kept()
    if key not in kept or kept[key][0] != stamp:
        kept[key] = (stamp, parse(path.read_bytes()))
        atexit.unregister(_keep)  # once, however many files are new
        atexit.register(_keep)
    return kept[key][1]


def parse(code: bytes) -> SourceFacts:
    """Read the facts off a syntax tree."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, False):
            node.body = node.body[1:]
    imports, resources = set[str](), set[str]()
    for node in _at_run_time(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _RESOURCE.fullmatch(node.value):
            resources.add(node.value)
    own = {name for name in imports if name.split(".")[0] == PACKAGE.name}
    classes = {node.name: _methods_of(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    return SourceFacts(
        _hashed(tree.body),
        sorted(own),
        sorted(resources),
        _literal_reads(tree),
        bool(_literal(tree, "COMPARES_COUNTRIES")),
        {name: _hashed(methods) for name, methods in classes.items() if methods},
    )


def _at_run_time(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk a tree, without what stands under ``if TYPE_CHECKING``."""
    ahead: list[ast.AST] = [tree]
    while ahead:
        node = ahead.pop()
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            ahead += ast.iter_child_nodes(node)


def _literal_reads(tree: ast.Module) -> list[str] | None:
    found = _literal(tree, "READS")
    return None if found is None else list(found)


def _literal(tree: ast.Module, name: str) -> Any:
    """Return the value of a name that a module sets to a literal; None where it does not."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return None


def _methods_of(kind: ast.ClassDef) -> list[ast.FunctionDef]:
    return [node for node in kind.body if isinstance(node, ast.FunctionDef) and node.name != "__post_init__"]


def _hashed(nodes: Iterable[ast.AST]) -> str:
    return hashlib.sha256("\n".join(map(ast.dump, nodes)).encode()).hexdigest()[:16]


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_mtime_ns, status.st_size]


@cache
def _kept() -> dict[str, tuple[list[int], SourceFacts]]:
    """Return what an earlier run kept, by file; nothing if this module changed since, or the file cannot be read."""
    try:
        found = json.loads(_KEPT.read_bytes())
        return (
            {key: (stamp, SourceFacts(**facts)) for key, (stamp, facts) in found["files"].items()} if found["by"] == _BY else {}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep() -> None:
    with suppress(YapoError, OSError):  # an installation that cannot be written is read anew each time, as bytecode is
        write_json(_KEPT, {"by": _BY, "files": {key: (stamp, asdict(facts)) for key, (stamp, facts) in _kept().items()}})


_BY = _stamp(Path(__file__))
