"""The tables of a small study."""

from __future__ import annotations

import pytest

from yapo.reporting.main_tables import build_tables
from yapo.reporting.tables import Table

from .small_results import OPTIONS, study


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return build_tables(*study(), OPTIONS)
