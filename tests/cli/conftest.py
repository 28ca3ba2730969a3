"""Pairs, and vectors made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import yapo
from tests.api.conftest import MODEL, SAE_FOLDER, frame, pairs

__all__ = ["frame", "pairs"]


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    """The file of a dense vector of layer 4."""
    path = tmp_path_factory.mktemp("vectors") / "dense.safetensors"
    yapo.train(MODEL, frame, layer=4).save(path)
    return path


@pytest.fixture(scope="session")
def sparse(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    """The file of a sparse vector of layer 2 that changes answers."""
    path, settings = tmp_path_factory.mktemp("vectors") / "sparse.safetensors", dict[str, Any](epochs=10, lr=1e-2, batch_size=2)
    yapo.train(MODEL, frame, "yapo", sae=SAE_FOLDER, **settings).save(path)
    return path
