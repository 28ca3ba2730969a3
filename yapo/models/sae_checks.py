"""Checks of an autoencoder's files: settings of the right kind, arrays of the right shapes, finite numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from yapo.checks import is_finite
from yapo.errors import YapoError

AGAIN = "save the autoencoder again with SAELens 6"


def required_setting(config: Any, key: str, path: Path) -> Any:
    """Return a setting that must be there.

    Raises:
        YapoError: it is not.
    """
    if not isinstance(config, Mapping) or config.get(key) is None:
        raise YapoError(f"{path}: key {key} is missing; {AGAIN} or add the key")
    return config[key]


def switch(config: Any, key: str, path: Path) -> bool:
    """Return a setting that is true or false.

    Raises:
        YapoError: it is missing or something else, such as the text "false".
    """
    value = required_setting(config, key, path)
    if not isinstance(value, bool):
        raise YapoError(f"{path}: {key} is {value!r}; write true or false, or {AGAIN}")
    return value


def kept_features(config: Any, d_sae: int, path: Path) -> int:
    """Return k of a TopK autoencoder.

    Raises:
        YapoError: it is missing or no whole number from 1 to ``d_sae``.
    """
    k = required_setting(config, "k", path)
    if isinstance(k, bool) or not isinstance(k, int | float) or k not in range(1, d_sae + 1):
        raise YapoError(f"{path}: k is {k!r}; write a whole number from 1 to d_sae={d_sae}, or {AGAIN}")
    return int(k)


def input_scale(config: Any, path: Path) -> float:
    """Return the factor by which activations are scaled before encoding.

    Raises:
        YapoError: it is missing, not a finite number or not above 0.
    """
    scale = required_setting(config, "scaling_factor", path)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not (is_finite(scale) and scale > 0):
        raise YapoError(f"{path}: scaling_factor is {scale!r}; write a finite number above 0, or {AGAIN}")
    return float(scale)


def check_arrays(weights: Mapping[str, Tensor], thresholds: bool, path: Path) -> None:
    """Refuse arrays of other names or shapes than an autoencoder has.

    Args:
        weights: the arrays by name.
        thresholds: whether ``threshold`` is among those that must be there.
        path: the file.

    Raises:
        YapoError: names or shapes differ, or there is nothing in them.
    """
    expected = {"W_enc", "b_enc", "W_dec", "b_dec"} | ({"threshold"} if thresholds else set())
    if set(weights) != expected:
        kind = "jumprelu" if thresholds else "this architecture"
        raise YapoError(f"{path}: holds the arrays {sorted(weights)}, but {kind} needs {sorted(expected)}; check the source")
    d_model, d_sae = weights["b_dec"].numel(), weights["b_enc"].numel()
    if not d_model or not d_sae:
        raise YapoError(f"{path}: {'b_enc' if d_model else 'b_dec'} is empty; download or copy the autoencoder again")
    shapes = {"W_enc": (d_model, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_model), "b_dec": (d_model,), "threshold": (d_sae,)}
    for name, tensor in weights.items():
        if tuple(tensor.shape) != shapes[name]:
            raise YapoError(f"{path}: {name} has shape {tuple(tensor.shape)}, expected {shapes[name]}; check the source")
