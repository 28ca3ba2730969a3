"""Charts and columns that the MLflow pages of a study open with, kept in the experiment as MLflow keeps a shared view."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any
from urllib.parse import quote

from yapo.tracking.sources import WINDOW

METHODS, ALL = "yapo-methods", "yapo-all"
_TAG = "mlflow.sharedViewState."
_LONGEST = 5000  # characters of a tag that MLflow's database takes
_COLUMNS = (
    "tags.`country`",
    "tags.`method`",
    "tags.`task`",
    "tags.`setting`",
    "metrics.`test_score`",
    "metrics.`validation_score`",
    "metrics.`chosen_multiplier`",
    "metrics.`chosen_epoch`",
    "metrics.`loss_mean`",
    "metrics.`validation_loss`",
)
_LINES = {
    "loss_mean": f"Training loss (mean of the last {WINDOW} steps)",
    "validation_score": "Validation score after each epoch, at λ = 1",
    "validation_loss": "Validation loss",
    "displacement": "Change of the residual stream (mean norm)",
}
_BARS = {"test_score": "Test score, as chosen on validation", "chosen_multiplier": "Chosen λ"}
_DETAILS = {
    "loss": "Training loss, every step",
    "margin_mean": "Margin",
    "norm": "Norm of the vector",
    "l0": "Entries that are not 0",
}
_ORDER = ("loss_mean", "validation_score", "test_score", "validation_loss", "displacement", "chosen_multiplier")


def views(example: dict[str, str]) -> dict[str, str]:
    """Return the experiment tags that hold the views.

    Args:
        example: tags of a run. The first page shows the runs of its country, task and setting: one for each method.
    """
    made = {_TAG + ALL: _view("")}
    if example:
        made[_TAG + METHODS] = _view(condition(example))
    return {key: value for key, value in made.items() if len(value) <= _LONGEST}


def condition(example: dict[str, str]) -> str:
    """Return the search that leaves one run for each method: those of one country, task and setting."""
    return " and ".join(f"tags.{key} = {_quoted(example[key])}" for key in ("country", "task", "setting"))


def view_address(host: str, experiment_id: str, view: str, *, charts: bool) -> str:
    """Return the address of a page of the experiment that opens with a view."""
    mode = "CHART" if charts else "TABLE"
    options = f"viewStateShareKey={quote(view)}&compareRunsMode={mode}&workflowType=machine_learning"
    return f"{host}/#/experiments/{experiment_id}/runs?{options}"


def _quoted(text: str) -> str:
    """Quote a value inside a search; MLflow has no escape, so the quote is the one that the value does not hold."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _view(search: str) -> str:
    sections = [_section("results", "Methods side by side", shown=True), _section("details", "Training in detail", shown=True)]
    # MLflow adds a chart for every other metric to the section of this name.
    sections.append(_section("others", "Model metrics", shown=False))
    charts = [_line(name, _LINES[name], "results") if name in _LINES else _bar(name, _BARS[name]) for name in _ORDER]
    both = {"selectedMetricKeys": ["loss_forward", "loss_reversed"], "lineSmoothness": 80, "useGlobalLineSmoothing": False}
    charts.append(_line("loss_forward", "Training loss at d = 1 and at d = -1, smoothed", "details") | both)
    charts += [_line(name, title, "details") for name, title in _DETAILS.items()]
    state = {
        "searchFilter": search,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": _COLUMNS,
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "autoRefreshEnabled": True,
        "hideEmptyCharts": True,
    }
    packed = zlib.compress(json.dumps(state, ensure_ascii=True, separators=(",", ":")).encode(), 9)
    return f"deflate;{base64.b64encode(packed).decode()}"


def _section(name: str, title: str, *, shown: bool) -> dict[str, Any]:
    return {"uuid": f"yapo-{name}", "name": title, "display": shown, "isReordered": True, "deleted": False, "isGenerated": False}


def _chart(kind: str, metric: str, title: str, section: str) -> dict[str, Any]:
    own = {
        "uuid": f"yapo-{metric}",
        "type": kind,
        "metricKey": metric,
        "displayName": title,
        "metricSectionId": f"yapo-{section}",
    }
    return {**own, "deleted": False, "isGenerated": False, "runsCountToCompare": 20}


def _line(metric: str, title: str, section: str) -> dict[str, Any]:
    axes = {"scaleType": "linear", "xAxisScaleType": "linear", "xAxisKey": "step", "yAxisKey": "metric", "lineSmoothness": 0}
    return _chart("LINE", metric, title, section) | axes | {"selectedMetricKeys": [metric]}


def _bar(metric: str, title: str) -> dict[str, Any]:
    return _chart("BAR", metric, title, "results")
