"""`import yapo` as a user sees it."""

from __future__ import annotations

import subprocess
import sys

import yapo


def test_public_names() -> None:
    assert set(yapo.__all__) == {
        "SteeringVector",
        "evaluate",
        "export",
        "load_vector",
        "metrics_table",
        "pnlg",
        "rca",
        "steer",
        "train",
    }
    assert all(getattr(yapo, name) for name in yapo.__all__)


def test_import_is_light() -> None:
    """Jobs that need no model must not pay for torch or transformers."""
    heavy = {"torch", "transformers", "mlflow", "snakemake", "hydra", "pandas", "numpy"}
    code = f"import sys, yapo; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metrics_from_ones_own_accuracies_need_no_model() -> None:
    code = "import sys, yapo; print(yapo.rca(80, 40), yapo.pnlg(80, 40)); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("53.33")
