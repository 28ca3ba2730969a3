"""Sentences about the main tables follow from their numbers."""

from __future__ import annotations

import pandas as pd

from yapo.reporting.main_findings import layer_finding, results_finding, training_finding


def cell(method: str, value: float, low: float, high: float, **keys: str) -> dict[str, object]:
    return {"task": "mcq", "method": method, "value": value, "low": low, "high": high, **keys}


SUMMARY = pd.DataFrame(
    [
        cell("baseline", 30.0, 28.0, 32.0, setting="nonlocalized"),
        cell("prompt", 97.0, 96.0, 98.0, setting="nonlocalized"),
        cell("random", 31.0, 29.0, 33.0, setting="nonlocalized"),
        cell("caa", 40.0, 38.0, 42.0, setting="nonlocalized"),
        cell("bipo", 53.0, 50.0, 56.0, setting="nonlocalized"),
        cell("yapo", 55.0, 52.0, 58.0, setting="nonlocalized"),
    ]
)
METRICS = pd.DataFrame(
    [
        cell("baseline", 41.0, 40.0, 42.0, language="Overall", metric="rca"),
        cell("yapo", 60.0, 58.0, 62.0, language="Overall", metric="rca"),
        cell("caa", 99.0, 98.0, 99.5, language="Arabic", metric="rca"),
    ]
)


def test_the_best_method_its_rivals_and_the_controls_are_named() -> None:
    lines = results_finding(SUMMARY, METRICS, "a scorer").reading.split("\n")
    assert lines == [
        "Multiple choice, non-localized: YaPO 55.0 [52.0, 58.0]; its interval overlaps that of BiPO "
        "(unsteered 30.0, prompt 97.0, random 31.0).",
        "RCA, multiple choice: YaPO 60.0 [58.0, 62.0], unsteered 41.0.",
    ]


def test_a_method_that_stands_alone_is_said_to() -> None:
    apart = SUMMARY[SUMMARY["method"] != "bipo"]
    assert "its interval overlaps no other method's" in results_finding(apart, METRICS, "a scorer").reading


def test_what_validation_chose() -> None:
    grid = pd.DataFrame(
        {
            "method": ["baseline", "yapo", "yapo", "yapo", "caa"],
            "epoch": [0, 1, 2, 2, 1],
            "multiplier": [0.0, 1.0, 1.0, 2.0, 0.5],
            "selected": [True, False, True, True, True],
        }
    )
    lines = training_finding(grid).reading.split("\n")
    assert lines[0] == "Chosen on validation, over 3 vectors:"
    assert lines[1:] == [
        "CAA: epoch 1 of 1 (median), λ = 0.5 for 100%",
        "YaPO: epoch 2 of 2 (median), λ = 1 for 50%, λ = 2 for 50%",
    ]


def test_which_layer_and_why() -> None:
    searched = {"layer": 2, "select": "steerability", "candidates": [1, 2, 3], "best": {"patching": 1, "steerability": 2}}
    assert layer_finding(searched).reading == (
        "Layer 2 (0-based), chosen by steerability among layers 1, 2, 3. Of these, patching peaks at layer 1, "
        "steerability peaks at layer 2."
    )
    assert "set by the configuration" in layer_finding({"layer": 15, "select": "configured", "candidates": [15]}).reading
