"""Data shared by the tests of Deep-Culture-Lense."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from .lense_rows import hub_rows, load


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, Any]]:
    return load(hub_rows(), tmp_path_factory.mktemp("clean"))
