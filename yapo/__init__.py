"""Train, compare and use steering vectors.

import yapo

vector = yapo.load_vector("results/embedded/arabic/egypt/vectors/yapo/mcq-nonlocalized.safetensors")
with yapo.steer(model, vector):
    model.generate(...)

vector = yapo.train(model, pairs)  # of your own pairs: dicts, a data frame or a file, with prompt, chosen and rejected
yapo.rca([80.0, 70.0], [40.0, 35.0])  # from your own accuracies; yapo.metrics_table makes the paper's table of them
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yapo.api.evaluate import evaluate
    from yapo.api.train import train
    from yapo.evaluation.metrics import pnlg, rca
    from yapo.evaluation.own_scores import metrics_table
    from yapo.exchange.export import export
    from yapo.steering.steer import steer
    from yapo.steering.vector import SteeringVector

__all__ = ["SteeringVector", "evaluate", "export", "load_vector", "metrics_table", "pnlg", "rca", "steer", "train"]
__version__ = "0.1.0"


def load_vector(path: Path | str) -> SteeringVector:
    """Read a steering vector and its header.

    Examples:
        >>> import yapo
        >>> pairs = [{"prompt": f"What is {n}?", "chosen": f"It is {n}.", "rejected": f"{n}."} for n in range(10, 20)]
        >>> yapo.train("world/model", pairs, layer=2).save("v.safetensors")
        >>> yapo.load_vector("v.safetensors").info.layer
        2

    Raises:
        YapoError: the file is missing, damaged or foreign.
    """
    from yapo.steering.vector import SteeringVector

    return SteeringVector.load(path)


_HOMES = {
    "SteeringVector": "yapo.steering.vector",
    "evaluate": "yapo.api.evaluate",
    "export": "yapo.exchange.export",
    "metrics_table": "yapo.evaluation.own_scores",
    "pnlg": "yapo.evaluation.metrics",
    "rca": "yapo.evaluation.metrics",
    "steer": "yapo.steering.steer",
    "train": "yapo.api.train",
}


def __getattr__(name: str) -> Any:  # torch and pandas are imported when they are first needed
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'yapo' has no attribute '{name}'")
