"""The table of free-standing vectors."""

from __future__ import annotations

import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.tables import TableOptions
from yapo.studies.portable.report import portable_table

OPTIONS = TableOptions(resamples=200)


def rows() -> pd.DataFrame:
    """Two facts of two phrasings; the whole vector answers all, 16 features lose one fact, the stand-in both."""
    right = {"whole": [1, 1, 1, 1], "16": [1, 1, 0, 0], "64": [1, 1, 1, 0], "dense": [0, 0, 0, 0]}
    features = {"whole": 300, "16": 16, "64": 64, "dense": 0}
    return pd.DataFrame(
        {
            "task": "mcq", "method": "yapo", "form": form, "features": features[form], "question_id": f"f{i // 2}",
            "score": float(score), "parsed": form != "dense",
        }
        for form, scores in right.items()
        for i, score in enumerate(scores)
    )  # fmt: skip


def test_each_form_with_its_difference_from_the_whole_vector() -> None:
    table = portable_table(rows(), OPTIONS)
    cells = table.data.set_index("form")
    assert cells["value"].to_dict() == {"whole": 100.0, "16": 50.0, "64": 75.0, "dense": 0.0}
    assert cells["change"].to_dict() == {"whole": 0.0, "16": -50.0, "64": -25.0, "dense": -100.0}
    assert (cells.loc["16", "change_low"], cells.loc["16", "change_high"]) == (-100.0, 0.0)
    assert (cells.loc["dense", "change_low"], cells.loc["dense", "change_high"]) == pytest.approx((-100.0, 19.06), abs=0.01)
    assert cells["n"].unique().tolist() == [4]
    assert cells["n_facts"].unique().tolist() == [2]


def test_printed_from_whole_to_dense() -> None:
    text = portable_table(rows(), OPTIONS).texts["md"]
    places = [text.index(name) for name in ("Whole vector", "Top 64 features", "Top 16 features", "Dense stand-in")]
    assert places == sorted(places)
    assert "| Top 16 features | 16 | 50.0 [0.0, 100.0] | −50.0 [−100.0, +0.0] | 4 (2 facts) |" in text
    assert "0.0 [0.0, 84.2] †" in text  # two facts say little


def test_a_study_without_sparse_vectors_is_refused() -> None:
    with pytest.raises(YapoError, match="no method of this study has sparse vectors"):
        portable_table(rows().head(0), OPTIONS)
