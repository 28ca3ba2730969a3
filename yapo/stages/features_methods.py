"""Which methods the study of features can describe; cheap, so that it can be asked before anything runs."""

from __future__ import annotations

from yapo.config import Config
from yapo.errors import YapoError
from yapo.steering.methods import get_method


def methods_with_vectors(config: Config) -> list[str]:
    """The experiment's methods that make a vector, dense or of features; DSPA learns a map, which is none of single features.

    Raises:
        YapoError: there is none.
    """
    found = [method for method in config.methods if get_method(method).space != "map"]
    if not found:
        raise YapoError(
            f"methods=[{','.join(config.methods)}]: studies.features describes vectors, and these make none; add a method that "
            "does (caa, sas, bipo, yapo), or leave features out of studies.reported and of what is asked for"
        )
    return found
