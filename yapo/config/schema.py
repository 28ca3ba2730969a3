"""Conversion of settings classes to OmegaConf schemas, which have no ``Literal``, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from yapo.checks import check_types

T = TypeVar("T")


@cache
def schema(kind: type) -> type:
    """Return a class with the fields of a settings class, in which every ``Literal`` is a text, and with no checks."""
    hints = get_type_hints(kind)
    return make_dataclass(kind.__name__, [(item.name, _plain(hints[item.name]), _default(item)) for item in fields(kind)])


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make settings of nested dictionaries, which checks them; errors name them after ``prefix``.

    What an interpolation gives has any type.

    Raises:
        YapoError: a value is impossible.
    """
    hints = get_type_hints(kind)
    check_types(prefix, cast(Any, kind), values)
    return kind(
        **{
            name: build(hints[name], value, f"{prefix}{name}.") if is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )


def _plain(hint: Any) -> Any:
    """Return a type with texts for ``Literal`` and schemas for settings classes."""
    if get_origin(hint) is Literal:
        return str
    if is_dataclass(hint) and isinstance(hint, type):
        return schema(hint)
    parts = tuple(map(_plain, get_args(hint)))
    if isinstance(hint, UnionType):
        return reduce(or_, parts)
    return get_origin(hint)[parts] if parts else hint


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    make = item.default_factory
    return field(default_factory=schema(make) if is_dataclass(make) and isinstance(make, type) else make)
