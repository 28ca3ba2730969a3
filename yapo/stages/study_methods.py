"""Which methods the studies around the tables can take: asked before anything runs, by the Snakefile and by each stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yapo.config import Config
from yapo.errors import YapoError, unknown
from yapo.stages.app import options
from yapo.steering.methods import Method, get_method


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
    elif study == "dspa_study" and "dspa" not in config.methods:
        raise YapoError(f"{_given(config)}: dspa_study changes what dspa does; add dspa, or {_leave_out(study)}")
    elif study == "features" and not methods_with_vectors(config):
        raise YapoError(
            f"{_given(config)}: features describes vectors, and these make none; add a method that does "
            f"({', '.join(filter(_fits(_has_vectors), options('method')))}), or {_leave_out(study)}"
        )


def methods_with_vectors(config: Config) -> list[str]:
    """The experiment's methods that make a vector, dense or of features; DSPA learns a map, which is none of single features."""
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
    return method.space != "map"


def _given(config: Config) -> str:
    return f"methods=[{','.join(config.methods)}]"


def _leave_out(study: str) -> str:
    return f"leave {study} out of studies.reported and of what is asked for"
