"""Ten preference pairs of the second world, whose model is small enough to be loaded by every test."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.conftest import ROOT

MODEL = ROOT / "world" / "assistant" / "model"
SAE_FOLDER = ROOT / "world" / "assistant" / "sae" / "layer_2"
COLUMNS = {"question": "prompt", "matching": "chosen", "not_matching": "rejected"}


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return pd.read_csv(ROOT / "world" / "behaviours" / "wealth_seeking" / "train.csv", nrows=10).rename(columns=COLUMNS)


@pytest.fixture
def pairs(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): cell for name, cell in row.items()} for row in frame.to_dict("records")]
