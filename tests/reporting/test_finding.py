"""Findings: saved and read again, and those of the main tables, whose sentences follow from their numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from jinja2 import UndefinedError

from yapo.errors import YapoError
from yapo.files import write_json
from yapo.reporting.finding import Finding, render_blocks
from yapo.reporting.main_findings import layer_finding, results_finding, training_finding

FINDING = Finding("transfer", "Transfer", "Do vectors travel?", "Some do.", limits=("small",), tables=("transfer",))


def test_a_finding_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    FINDING.save(tmp_path / "transfer.json")
    assert Finding.load(tmp_path / "transfer.json") == FINDING


@pytest.mark.parametrize("content", [[], {"name": "transfer"}, {"surprise": 1}])
def test_another_file_is_refused(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "other.json", content)
    with pytest.raises(YapoError, match=r"other.json: not a finding"):
        Finding.load(tmp_path / "other.json")


def test_a_template_prints_numbers_and_refuses_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "text.j2"
    path.write_text("{% block a %}{{ task }}, {{ task | label('task') }}: {{ gain | change(1) }} <b>{% endblock %}")
    assert render_blocks(path, task="mcq", gain=-2.0) == {"a": "mcq, Multiple choice: −2.0 <b>"}
    with pytest.raises(UndefinedError, match="task"):
        render_blocks(path, gain=1.0)


def test_blocks_of_a_template_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "text.j2"
    path.write_text("{% block a %}\n  one\n\n  {% if more %}two{% endif %}\n{% endblock %}\n{% block b %}{% endblock %}")
    assert render_blocks(path, more=True) == {"a": "one\ntwo", "b": ""}


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


def test_what_a_bound_on_the_choice_costs() -> None:
    grid = pd.DataFrame(
        {
            "language": "Arabic", "country": "egypt", "setting": "both",
            "task": ["mcq", "mcq", "mcq", "open_ended"],
            "method": ["baseline", "yapo", "yapo", "caa"],
            "epoch": [0, 1, 1, 1],
            "multiplier": [0.0, 1.0, 2.0, 1.0],
            "score": [0.2, 0.5, 0.75, 6.0],
            "selected": [True, True, False, True],
            "selected_unbounded": [None, False, True, True],
        }
    )  # fmt: skip
    assert training_finding(grid).reading.split("\n")[-1] == (
        "The bound selection.max_kl changes λ of 1 of them. Validation score given up for it, mean over vectors: "
        "multiple choice YaPO 25.0; open-ended CAA 0.00."
    )


def test_which_layer_and_why() -> None:
    searched = {"layer": 2, "select": "steerability", "candidates": [1, 2, 3], "best": {"patching": 1, "steerability": 2}}
    assert layer_finding(searched).reading == (
        "Layer 2 (0-based), chosen by steerability among layers 1, 2, 3. Of these, patching peaks at layer 1, "
        "steerability peaks at layer 2."
    )
    assert "set by the configuration" in layer_finding({"layer": 15, "select": "configured", "candidates": [15]}).reading
