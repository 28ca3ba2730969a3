"""Checks, before anything runs, that the experiment gives a study the methods, tasks and settings that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, cast

from yapo.config import Config
from yapo.config.conf_files import options
from yapo.errors import YapoError, unknown
from yapo.steering.method import Method
from yapo.steering.methods import get_method
from yapo.studies.base import get_study


def check_study(config: Config, study: str) -> None:
    """Refuse a study that needs methods, tasks or settings that the experiment cannot give; loads no model.

    Raises:
        YapoError: names the key, the value and what to choose.
    """
    check_methods(config, study)
    _check_some_are_left(config, study)
    if study == "portable":  # announces nothing: it frees the experiment's vectors, of all tasks and settings
        return
    record = get_study(study)
    for kind, keys, present in (("tasks", record.task_keys, config.tasks), ("settings", record.setting_keys, config.settings)):
        for key in keys:
            value: Any = reduce(getattr, key.split("."), config)
            for name in [value] if isinstance(value, str) else cast(list[str], value):
                if name not in present:
                    raise YapoError(f"{key}={name}: not among {kind}={','.join(present)}; choose one of them, or add it there")


def _check_some_are_left(config: Config, study: str) -> None:
    """Refuse a study whose countries, or methods, are all left out of the experiment."""
    part = getattr(config.studies, study, None)
    for kind in ("countries", "methods"):
        named, present = getattr(part, kind, []), getattr(config, kind)
        if named and present and not set(named) & set(present):
            raise YapoError(
                f"studies.{study}.{kind}={named}: none of them is in this experiment; name one of {', '.join(present)}"
            )


def check_methods(config: Config, study: str) -> None:
    """Refuse methods that a study cannot take; loads no model.

    A study may name methods that the experiment lacks (its defaults do), but none that ``conf/method`` has no file for.

    Raises:
        YapoError: names the key, the method and the ones that the study can take.
    """
    if study == "convergence":
        _check("studies.convergence.methods", config.studies.convergence.methods, _learns, "is not trained in steps")
    elif study == "ablations":
        _check("studies.ablations.methods", config.studies.ablations.methods, _learns, "is not trained in steps")
    elif study == "transfer":
        pooled = config.studies.transfer.left_out_methods
        _check("studies.transfer.left_out_methods", pooled, _has_vectors, "has no vector that learns from pairs")
    elif study == "portable":
        if not any(get_method(method).space.of_features for method in config.methods):
            raise YapoError(
                f"{_given(config)}: all_portable frees vectors of features from their autoencoder, and these make none; add a "
                f"method that does ({', '.join(filter(_fits(_of_features), options('method')))})"
            )
    elif study == "dspa_study" and "dspa" not in config.methods:
        raise YapoError(f"{_given(config)}: dspa_study changes what dspa does; add dspa, or {_leave_out(study)}")
    elif study == "features" and not methods_with_vectors(config):
        raise YapoError(
            f"{_given(config)}: features describes vectors, and these make none; add a method that does "
            f"({', '.join(filter(_fits(_has_vectors), options('method')))}), or {_leave_out(study)}"
        )


def methods_with_vectors(config: Config) -> list[str]:
    """Return the experiment's methods whose vectors are directions; an edit that depends on the prompt has none."""
    return [method for method in config.methods if _has_vectors(get_method(method))]


def _check(key: str, methods: Sequence[str], takes: Callable[[Method], bool], why: str) -> None:
    known = options("method")
    for method in methods:
        if method not in known:
            raise unknown("method", key, method, known)
        if not takes(get_method(method)):
            fitting = ", ".join(filter(_fits(takes), known))
            raise YapoError(f"{key}={method}: {why}; leave it out, or choose among {fitting}")


def _fits(takes: Callable[[Method], bool]) -> Callable[[str], bool]:
    return lambda method: takes(get_method(method))


def _learns(method: Method) -> bool:
    return method.learns


def _has_vectors(method: Method) -> bool:
    return not method.space.reads_prompt


def _of_features(method: Method) -> bool:
    return method.space.of_features


def _given(config: Config) -> str:
    return f"methods=[{','.join(config.methods)}]"


def _leave_out(study: str) -> str:
    return f"leave {study} out of studies.reported and of what is asked for"
