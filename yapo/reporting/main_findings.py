"""What the main tables and figures say, in sentences made from their numbers."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS

CONTROLS = ("baseline", "prompt", "random")


def results_finding(summary: pd.DataFrame, metrics: pd.DataFrame, scorer: str) -> Finding:
    """Who moves the model towards its country, by how much, and what that costs where the country is named anyway.

    Args:
        summary: the tidy numbers of the table ``summary``.
        metrics: those of ``table3_rca_pnlg_language``.
        scorer: what scored open-ended answers.
    """
    sentences = []
    for task in ordered("task", summary["task"]):
        for setting in ("nonlocalized", "localized"):
            part = summary[(summary["task"] == task) & (summary["setting"] == setting)]
            if len(part):
                sentences.append(_scores(label("task", task), label("setting", setting), _by_method(part)))
    overall = metrics[(metrics["language"] == "Overall") & (metrics["metric"] == "rca")]
    for task in ordered("task", overall["task"]):
        found = _by_method(overall[overall["task"] == task])
        best = _best(found)
        if best:
            sentences.append(
                f"RCA, {label('task', task).lower()}: {label('method', best)} {_number(found[best])} {_interval(found[best])}, "
                f"unsteered {_number(found['baseline'])}."
            )
    tables = ("summary", "table1_mcq", "table2_open_ended", "table3_rca_pnlg_language", "table5_rca_pnlg_country")
    return Finding(
        name="results",
        title="Results",
        question="Which vectors make the model answer as its country does, when the question does not name it?",
        reading="\n".join(sentences),
        limits=(
            *([f"Open-ended scorer: {scorer}."] if (summary["task"] == "open_ended").any() else []),
            "Prompt names the country in words: what steering competes with. Random: a random direction that moves the residual "
            "stream as far as the strongest vector.",
        ),
        tables=(*tables, "table3_rca_pnlg_language_instance", "table5_rca_pnlg_country_instance", "table7_dataset"),
        figures=("summary",),
        pages=("tables/examples.html",),
    )


def training_finding(validation: pd.DataFrame) -> Finding:
    """Which epoch and multiplier validation chose.

    Args:
        validation: the grid on validation, all countries.
    """
    chosen = validation[validation["selected"] & (validation["method"] != "baseline")]
    parts = []
    for method in ordered("method", chosen["method"]):
        own = chosen[chosen["method"] == method]
        spread = own["multiplier"].value_counts(normalize=True).sort_index()
        parts.append(
            f"{label('method', method)}: epoch {own['epoch'].median():g} of "
            f"{validation.loc[validation['method'] == method, 'epoch'].max()} (median), "
            + ", ".join(f"λ = {value:g} for {100 * share:.0f}%" for value, share in spread.items())
        )
    return Finding(
        name="training",
        title="Training and the choice of λ",
        question="How do the vectors train, and how strongly are they applied?",
        reading="\n".join([f"Chosen on validation, over {len(chosen)} vectors:", *parts]),
        figures=("training_curves", "epoch_accuracy", "multiplier_curves"),
    )


def layer_finding(found: dict[str, Any]) -> Finding:
    """Which layer is steered, and what each curve would have chosen.

    Args:
        found: ``layer.json``.
    """
    best = ", ".join(f"{name} peaks at layer {layer}" for name, layer in found.get("best", {}).items())
    how = "set by the configuration" if found["select"] == "configured" else f"chosen by {found['select']}"
    candidates = ", ".join(map(str, found["candidates"]))
    reading = f"Layer {found['layer']} (0-based), {how} among layers {candidates}." + (f" Of these, {best}." if best else "")
    return Finding(
        name="layer",
        title="Which layer",
        question="At which block is the country decided, and where does a vector move the answer most?",
        reading=reading,
        figures=("layer_discovery",),
    )


def _scores(task: str, setting: str, found: dict[str, dict[str, Any]]) -> str:
    best = _best(found)
    if best is None:
        return f"{task}, {setting.lower()}: no method was evaluated."
    methods = {name: cell for name, cell in found.items() if name not in CONTROLS}
    apart = [name for name, cell in methods.items() if name != best and cell["high"] < found[best]["low"]]
    level = [name for name in methods if name != best and name not in apart]
    beside = f"; its interval overlaps that of {_names(level)}" if level else "; its interval overlaps no other method's"
    controls = ", ".join(
        f"{'unsteered' if name == 'baseline' else label('method', name).lower()} {_number(found[name])}"
        for name in CONTROLS
        if name in found
    )
    value = f"{label('method', best)} {_number(found[best])} {_interval(found[best])}"
    return f"{task}, {setting.lower()}: {value}{beside} ({controls})."


def _by_method(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(cell["method"]): cell for cell in records(rows)}


def _best(found: dict[str, dict[str, Any]]) -> str | None:
    """The method with the highest value, controls aside."""
    values = {name: float(cell["value"]) for name, cell in found.items() if name not in CONTROLS}
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    return max(known, key=lambda name: known[name]) if known else None


def _names(methods: list[str]) -> str:
    return ", ".join(label("method", name) for name in methods)


def _number(cell: dict[str, Any], name: str = "value") -> str:
    digits = 1 if max(abs(float(cell["high"])), abs(float(cell["value"]))) > 10 else 2
    return f"{float(cell[name]):.{digits}f}".replace("-", MINUS)


def _interval(cell: dict[str, Any]) -> str:
    return f"[{_number(cell, 'low')}, {_number(cell, 'high')}]"
