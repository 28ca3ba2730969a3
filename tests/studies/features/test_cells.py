"""Numbers of the features study over countries whose overlaps are known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from yapo.reporting.tables import TableOptions
from yapo.studies.features.cells import (
    coherence_cells,
    expected_jaccard,
    method_cells,
    overlap_cells,
    shared_features,
    spectrum,
)

from .frames import COUNTRIES, WIDTH, tops, vectors

OPTIONS = TableOptions(resamples=100, confidence=0.9, seed=0)


def cell(data: pd.DataFrame, metric: str, **where: str) -> pd.Series:
    found = data[(data["metric"] == metric) & (data[list(where)] == pd.Series(where)).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_overlap_within_a_language_and_across() -> None:
    data = overlap_cells(vectors(), top=2, options=OPTIONS)
    here = {"setting": "both", "method": "yapo"}
    for name in ("cosine", "jaccard"):
        assert cell(data, f"{name}_same", **here)["value"] == pytest.approx(1)
        assert cell(data, f"{name}_other", **here)["value"] == pytest.approx(0)
    assert cell(data, "effects_other", **here)["value"] == pytest.approx(1 / 21)  # the feature that all share
    assert (cell(data, "cosine_same", **here)["n"], cell(data, "cosine_other", **here)["n"]) == (2, 4)
    assert cell(data, "touched", **here)["value"] == 3
    assert cell(data, "settings", **here)["value"] == pytest.approx(-1)
    assert cell(data, "jaccard_chance", **here)["value"] == pytest.approx(expected_jaccard(2, 2, WIDTH))
    assert cell(data, "cosine_same", **here)["low"] == pytest.approx(1)
    assert math.isnan(cell(overlap_cells(vectors(("both",)), 2, OPTIONS), "settings", **here)["value"])


def test_two_methods_beside_one_another() -> None:
    data = method_cells(vectors(), top=2, options=OPTIONS)
    here = {"setting": "both", "method": "bipo", "other": "yapo"}
    assert cell(data, "cosine", **here)["value"] == pytest.approx(1)
    assert cell(data, "cosine_elsewhere", **here)["value"] == pytest.approx(4 / 12)  # one of three others shares the language
    assert cell(data, "shared", **here)["value"] == 1
    assert cell(data, "shared_chance", **here)["value"] == pytest.approx(2 / WIDTH)
    assert cell(data, "effects", **here)["value"] == pytest.approx((20 / 21) ** 0.5)


def test_coherence_with_its_controls() -> None:
    data = coherence_cells(tops(), OPTIONS)
    assert cell(data, "silenced", method="yapo")["value"] == 0.5
    assert cell(data, "silenced", method="bipo")["value"] == 0
    assert cell(data, "fires_during", method="yapo")["value"] == 0.25
    assert cell(data, "kept_mass", method="bipo")["value"] == 0.5
    assert cell(data, "control_mass", method="bipo")["value"] == 0.05
    for metric in ("tokens_same", "tokens_other", "topics_same", "topics_other"):  # the one shared feature agrees everywhere
        assert cell(data, metric, method="bipo")["value"] == 1
    assert cell(data, "tokens_other_control", method="bipo")["value"] == 0.5  # one of the control's two tokens is the feature's
    assert cell(data, "topics_other_control", method="bipo")["value"] == 0
    assert (cell(data, "topics_same", method="bipo")["n"], cell(data, "topics_other", method="bipo")["n"]) == (2, 4)


def test_features_with_nothing_to_compare_are_counted_by_reason() -> None:
    rows = tops()
    silent = (rows["country"] == "usa") & (rows["method"] == "yapo") & (rows["feature"] == 7)
    rows.loc[silent, "fires"] = 0.0
    for name in ("tokens_before", "topics_before"):
        rows[name] = [[] if gone else value for gone, value in zip(silent, rows[name], strict=True)]
    data = coherence_cells(rows, OPTIONS)
    counts = {name: cell(data, name, method="yapo")["value"] for name in data["metric"] if name.startswith("features")}
    assert counts == {"features": 8, "features_absent": 1, "features_silenced": 4, "features_kept": 3}
    assert cell(data, "features", method="yapo")["n"] == len(COUNTRIES)
    assert (cell(data, "shared", method="yapo")["value"], cell(data, "shared_compared", method="yapo")["value"]) == (6, 3)
    assert (cell(data, "features_kept", method="bipo")["value"], cell(data, "shared_compared", method="bipo")["value"]) == (8, 6)


def test_countries_that_share_no_feature_have_no_agreement() -> None:
    alone = tops()
    data = coherence_cells(alone[alone["feature"] != 7], OPTIONS)
    assert data[data["metric"].str.startswith(("tokens_", "topics_"))]["value"].isna().all()
    assert (data[data["metric"].str.startswith(("tokens_", "topics_"))]["n"] == 0).all()


def test_shared_features_are_those_of_at_least_two_countries() -> None:
    found = shared_features(tops(), most=3)
    assert found["feature"].tolist() == [7, 7]
    assert found["method"].tolist() == ["bipo", "yapo"]
    assert found["countries"].iloc[0] == list(COUNTRIES)
    assert (found["languages"].iloc[0], found["effect"].iloc[0]) == (2, 0.5)


def test_spectrum_is_the_cumulative_share() -> None:
    data = spectrum(vectors(("both",)))
    line = data[data["method"] == "yapo"].set_index("features")["share"]
    assert line.to_dict() == pytest.approx({1: 4 / 7, 2: 6 / 7, 3: 1})
    assert data[data["method"] == "bipo"].set_index("features")["share"].to_dict() == pytest.approx({1: 4 / 6, 2: 1})
