"""`import yapo` as a user sees it."""

from __future__ import annotations

import subprocess
import sys

import yapo


def test_public_names() -> None:
    assert set(yapo.__all__) == {"SteeringVector", "load_vector", "steer"}
    assert all(getattr(yapo, name) for name in yapo.__all__)


def test_import_is_light() -> None:
    """Jobs that need no model must not pay for torch or transformers."""
    code = "import sys, yapo; assert not {'torch', 'transformers', 'mlflow', 'snakemake', 'hydra'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
