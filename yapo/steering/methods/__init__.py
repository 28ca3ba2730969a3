"""Steering methods: a module each, or a folder with a module ``method``. ``METHOD`` is imported when it is first asked for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from yapo.errors import unknown

if TYPE_CHECKING:
    from yapo.steering.method import Method


def method_names() -> list[str]:
    """Return the name of every method, in alphabetical order."""
    here = Path(__file__).parent
    return sorted(path.stem for path in [*here.glob("[!_]*.py"), *(init.parent for init in here.glob("*/__init__.py"))])


def module_of(name: str) -> str:
    """Return the module of a method, a file or the module ``method`` of a folder, without importing it."""
    return f"{__name__}.{name}.method" if Path(__file__).with_name(name).is_dir() else f"{__name__}.{name}"


def get_method(name: str) -> Method:
    """Import the method of that name.

    Raises:
        YapoError: there is none.
    """
    if name not in method_names():
        raise unknown("method", "method", name, method_names())
    method: Method = importlib.import_module(module_of(name)).METHOD
    return method
