"""The settings and the code that decide a stage's result. A change to either reruns the stage.

A stage module names the settings that it reads in a literal ``READS``; ``app.run`` hands it no others. Its code is what it
imports, at any depth, as a syntax tree without comments and docstrings, and the templates and lists that it names. Methods are
imported by name, so that each counts only where it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, get_type_hints

from yapo.config import JUDGE_MEANS, Config
from yapo.dag.source import PACKAGE, facts_of, file_of

# Files that decide no result: they read, write, name, refuse, or hold settings, whose values are compared themselves.
NO_EFFECT_ON_RESULTS = {
    "config", "checks.py", "dag/command_line.py", "dag/options.py", "dag/reruns.py", "dag/source.py", "errors.py", "files.py",
    "names.py", "stages/app.py", "studies/__init__.py", "studies/base.py", "studies/checks.py", "studies/registry.py",
}  # fmt: skip
# Code that makes items: they reach later stages as files.
ITEM_SOURCES = {"data/atlas.py", "data/schema.py", "data/sources.py"}
DATA_STAGE = "yapo.stages.data"


def result_inputs(module: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Return what decides the result of a stage beside its input files.

    Args:
        module: the stage, such as ``yapo.stages.train``.
        config: the composed settings, as nested dictionaries.

    Returns:
        A value as JSON for every setting that the stage reads, by dotted name; a digest for every file of code, by path, and
        for every configuration class with methods that derive values from settings.
    """
    found: dict[str, str] = {}
    for key in reads(module):
        value = reduce(getitem, key.split("."), config)
        if key == "judge":
            value = {name: part for name, part in value.items() if name not in JUDGE_MEANS}
        found |= {name: json.dumps(leaf, sort_keys=True, ensure_ascii=False) for name, leaf in _leaves(key, value)}
        found |= _derived(key)
    for path in code_of(module, _methods(reads(module), config)):
        found[str(path.relative_to(PACKAGE.parent))] = code_digest(path)
    return found


def reads(module: str) -> list[str]:
    """Return the settings that a stage reads, from its source: importing a stage can take seconds."""
    found = facts_of(file_of(module)).reads
    if found is None:
        raise ValueError(f"{module} names no READS")
    return found


@cache
def code_of(module: str, methods: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Return the files of this package that make the result of a stage, those of some methods included."""
    left_out = NO_EFFECT_ON_RESULTS if module == DATA_STAGE else NO_EFFECT_ON_RESULTS | ITEM_SOURCES
    reached, ahead = set[Path](), [file_of(module), *(file_of(f"yapo.steering.methods.{method}") for method in methods)]
    while ahead:
        file = ahead.pop()
        place = file.relative_to(PACKAGE)
        if file not in reached and not left_out & {str(part) for part in (place, *place.parents)}:
            reached.add(file)
            ahead += _uses(file) if file.suffix == ".py" else ()
    return tuple(sorted(reached))


def _methods(keys: Iterable[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the methods whose code a stage with these settings runs."""
    groups = {key.partition(".")[0] for key in keys}
    return tuple(config["methods"]) if "methods" in groups else (config["method"]["name"],) if "method" in groups else ()


def _leaves(key: str, value: Any) -> list[tuple[str, Any]]:
    """Return the settings of a group by dotted name."""
    if isinstance(value, Mapping) and value:
        return [leaf for name, part in value.items() for leaf in _leaves(f"{key}.{name}", part)]
    return [(key, value)]


@cache
def _derived(key: str) -> dict[str, str]:
    """Return a digest of the methods of each settings class at or below a key, or of the nearest class above it."""
    kind: Any = Config
    for name in key.split("."):
        inner = get_type_hints(kind).get(name)
        if not is_dataclass(inner):
            break
        kind = inner
    if kind is Config:
        return {}
    ahead, found = [kind], {}
    while ahead:
        kind = ahead.pop()
        ahead += [part for part in get_type_hints(kind).values() if isinstance(part, type) and is_dataclass(part)]
        classes = facts_of(file_of(kind.__module__)).classes
        if kind.__name__ in classes:
            found[kind.__name__] = classes[kind.__name__]
    return found


@cache
def code_digest(path: Path) -> str:
    """Return a digest of a file's code, or of the whole of a template or list."""
    return facts_of(path).digest if path.suffix == ".py" else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _uses(path: Path) -> tuple[Path, ...]:
    """Return the files of this package that a file imports, and the templates and lists that it names."""
    found = facts_of(path)
    files = (*map(file_of, found.imports), *(path.with_name(name) for name in found.resources))
    return tuple(file for file in files if file.is_file())
