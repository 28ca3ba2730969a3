"""Checks, before anything runs, that the experiment gives a study the methods, tasks and settings that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import cast

from yapo.config import Config
from yapo.config.conf_files import group_options
from yapo.dag.compared_countries import compares_countries
from yapo.dag.scope import studied
from yapo.data.sources import known_countries, refuse_training
from yapo.errors import YapoError, unknown
from yapo.names import place_parts
from yapo.steering.methods import get_method
from yapo.studies.base import MethodKind, get_study

# Sentences about a method of each kind, and about one of another kind.
IS: dict[MethodKind, str] = {
    "trained": "is trained in steps",
    "directions": "has a vector that learns from pairs",
    "features": "has a vector of features",
}
IS_NOT: dict[MethodKind, str] = {
    "trained": "is not trained in steps",
    "directions": "has no vector that learns from pairs",
    "features": "has no vector of features",
}


def check_study(config: Config, study: str) -> None:
    """Refuse a study that needs methods, tasks or settings that the experiment cannot give; loads no model.

    Raises:
        YapoError: names the key, the value and what to choose.
    """
    part, record = getattr(config.studies, study, None), get_study(study)
    if record.trains:
        refuse_training(config.data, f"{study} trains")
    for key in record.needs:
        if not any(_words(config, key)):
            raise YapoError(f"{key}=: {study} reads a file of yours; name it, or leave {study} out")
    if record.regions:
        _check_regions(config, study)
    check_methods(config, study)
    for name, present in (("countries", config.countries), ("methods", config.methods)):
        named = getattr(part, name, [])
        if named and present and not set(named) & set(present):
            raise YapoError(
                f"studies.{study}.{name}={named}: none of them is in this experiment; name one of {', '.join(present)}"
            )
    for kind, keys in (("tasks", record.task_keys), ("settings", record.setting_keys)):
        given = getattr(config, kind)
        for key in keys:
            for word in _words(config, key):
                if word not in given:
                    raise YapoError(f"{key}={word}: not among {kind}={','.join(given)}; choose one of them, or add it there")


def _check_regions(config: Config, study: str) -> None:
    """Refuse a study of regions on data, or with countries, that have none."""
    known = known_countries(config.data)
    if not any(place_parts(place)[1] for place in known):
        raise YapoError(f"data.source={config.data.source}: has no regions of a country, which {study} needs; give data=regions")
    places = studied(config, known, getattr(config.studies, study).countries)
    if not any(place_parts(place)[1] for place in places):
        raise YapoError(f"countries={','.join(places)}: names no region, which {study} needs; add those of each country")


def check_methods(config: Config, study: str) -> None:
    """Refuse methods that a study cannot take; loads no model.

    Raises:
        YapoError: names the key, the method and the ones that the study can take.
    """
    record, given = get_study(study), f"methods=[{','.join(config.methods)}]"
    if record.method not in (None, *config.methods):
        raise YapoError(f"{given}: {study} changes what {record.method} does; add {record.method}, or leave {study} out")
    if record.kind is None or _are_defaults(config, record.method_keys or ("methods",)):
        return
    for key in record.method_keys:
        for method in _words(config, key):
            if method not in group_options("method"):
                raise unknown("method", key, method, group_options("method"))
            if compares_countries(method):
                raise YapoError(f"{key}={method}: tells a country from the others, and {study} knows one at a time; leave it out")
            if not is_of_kind(method, record.kind):
                raise YapoError(
                    f"{key}={method}: {IS_NOT[record.kind]}; leave it out, or choose among {', '.join(of_kind(record.kind))}"
                )
    if not record.method_keys and not any(is_of_kind(method, record.kind) for method in config.methods):
        fitting = ", ".join(of_kind(record.kind))
        raise YapoError(f"{given}: none of them {IS[record.kind]}, which {study} needs; add one of {fitting}")


def _are_defaults(config: Config, keys: Sequence[str]) -> bool:
    """Return whether settings have their defaults, which every study can take: then no method is imported, nor torch with it."""
    return all(_words(config, key) == _words(Config(), key) for key in keys)


def of_kind(kind: MethodKind, methods: Sequence[str] | None = None) -> list[str]:
    """Return the methods of a kind, among some or all."""
    return [method for method in (group_options("method") if methods is None else methods) if is_of_kind(method, kind)]


def is_of_kind(name: str, kind: MethodKind) -> bool:
    """Return whether the method's vectors are what a kind says."""
    method = get_method(name)
    if kind == "trained":
        return method.learns
    return method.space.of_features if kind == "features" else not method.space.reads_prompt


def _words(config: Config, key: str) -> list[str]:
    """Return the value of a setting as a list."""
    value = reduce(getattr, key.split("."), cast(object, config))
    return [value] if isinstance(value, str) else cast(list[str], value)
