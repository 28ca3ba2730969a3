"""The findings of the main tables and figures, from their numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.checks import CONTROLS
from yapo.evaluation.selection import given_up
from yapo.reporting.cells import UNIT, records
from yapo.reporting.finding import Finding
from yapo.reporting.names import ordered
from yapo.reporting.numbers import number, score_digits

_RESULTS, _TRAINING, _LAYER = (Path(__file__).with_name(name) for name in ("results.md.j2", "training.md.j2", "layer.md.j2"))


def results_finding(summary: pd.DataFrame, metrics: pd.DataFrame, scorer: str) -> Finding:
    """Return the best method of each task and setting, beside its rivals and the controls.

    Args:
        summary: the tidy numbers of the table ``summary``.
        metrics: those of ``table3_rca_pnlg_language``.
        scorer: the scorer of open-ended answers.
    """
    scores = []
    for task in ordered("task", summary["task"]):
        for setting in ("nonlocalized", "localized"):
            part = summary[(summary["task"] == task) & (summary["setting"] == setting)]
            if len(part):
                scores.append({"task": task, "setting": setting, **_compared(part)})
    overall = metrics[(metrics["language"] == "Overall") & (metrics["metric"] == "rca")]
    by_task = [{"task": task, **_compared(overall[overall["task"] == task])} for task in ordered("task", overall["task"])]
    tables = ("summary", "significance", "table1_mcq", "table2_open_ended", "table3_rca_pnlg_language", "table5_rca_pnlg_country")
    more = ("table3_rca_pnlg_language_instance", "table5_rca_pnlg_country_instance", "option_positions", "table7_dataset")
    return Finding.from_template(
        "results",
        "Results",
        _RESULTS,
        {"scores": scores, "metrics": by_task, "scorer": scorer},
        tables=(*tables, *more),
        figures=("summary",),
        pages=("tables/examples.html",),
    )


def training_finding(validation: pd.DataFrame) -> Finding:
    """Return the epochs and multipliers that validation chose.

    Args:
        validation: the grid on validation, all countries; under ``selection.max_kl``, what that costs is said too.
    """
    selected = validation[validation["selected"] & (validation["method"] != "baseline")]
    methods = [
        {
            "name": method,
            "epoch": of_method["epoch"].median(),
            "epochs": validation.loc[validation["method"] == method, "epoch"].max(),
            "multipliers": list(of_method["multiplier"].value_counts(normalize=True).sort_index().items()),
        }
        for method in ordered("method", selected["method"])
        for of_method in [selected[selected["method"] == method]]
    ]
    values = {"vectors": len(selected), "methods": methods, "bound": _bound(validation)}
    figures = ("training_curves", "epoch_accuracy", "multiplier_curves")
    return Finding.from_template("training", "Training and the choice of λ", _TRAINING, values, figures=figures)


def _bound(validation: pd.DataFrame) -> dict[str, Any] | None:
    """Return how many vectors ``selection.max_kl`` changes, and what it costs in printed units; None without a bound."""
    if "selected_unbounded" not in validation:
        return None
    lost = given_up(validation)
    other = validation["selected_unbounded"].eq(True) & ~validation["selected"]
    costs = [
        (task, [(name, number(UNIT[task] * means[name], score_digits(task))) for name in ordered("method", means.index)])
        for task in ordered("task", lost["task"])
        for means in [lost[lost["task"] == task].groupby("method")["given_up"].mean()]
    ]
    return {"changed": int(other.sum()), "costs": costs}


def layer_finding(found: dict[str, Any]) -> Finding:
    """Return the steered layer, and the one that each curve would have chosen.

    Args:
        found: ``layer.json``.
    """
    values = {"best": {}, **found}
    return Finding.from_template("layer", "Which layer", _LAYER, values, figures=("layer_discovery",))


def _compared(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the cell of the best method, controls aside, the methods whose intervals overlap with its, and the controls."""
    found = {str(record["method"]): {**record, "digits": _digits(record)} for record in records(rows)}
    methods = {name: record for name, record in found.items() if name not in CONTROLS}
    known = {name: record for name, record in methods.items() if not math.isnan(record["value"])}
    best = max(known, key=lambda name: float(known[name]["value"]), default="")
    level = [name for name, record in methods.items() if best and name != best and not record["high"] < found[best]["low"]]
    return {"best": found.get(best), "level": level, "controls": [found[name] for name in CONTROLS if name in found]}


def _digits(record: dict[str, Any]) -> int:
    return 1 if max(abs(float(record["high"])), abs(float(record["value"]))) > 10 else 2
