"""Steering methods. Adding one: a module here with ``register(...)``, its import below, and ``conf/method/<name>.yaml``."""

from yapo.steering.methods import bipo, caa, dspa, sas, yapo
from yapo.steering.methods.base import FitInputs, Method, get_method

__all__ = ["FitInputs", "Method", "bipo", "caa", "dspa", "get_method", "sas", "yapo"]
