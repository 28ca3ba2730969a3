"""Stage ``features_table``: effects of vectors on features over all countries, as tables, figures, index and finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.files import write_text
from yapo.models.sae_release import listed, neuronpedia
from yapo.paths import Paths
from yapo.reporting.names import label, ordered
from yapo.reporting.tables import Table
from yapo.stages.app import run
from yapo.stages.inputs import read_layer
from yapo.stages.table_options import table_options
from yapo.studies.checks import of_kind
from yapo.studies.features.figure import overlap_figure, spectrum_figure
from yapo.studies.features.pages import INDEX, index_page
from yapo.studies.features.table import COHERENCE, NAME, TOP, features_tables, sorted_rows
from yapo.studies.write_report import read_rows, write_report

READS = ("sae", "report", "judge", "methods", "studies.features")

METRICS = ("effective", "cosine_same", "cosine_other", "kept_mass", "control_mass")


def main(config: Config) -> None:
    """Write ``tables/features*``, ``figures/features_*``, ``features/index.html`` and ``studies/features.json``."""
    wanted, options = config.studies.features, table_options(config)
    vectors, tops = (sorted_rows(read_rows(config, NAME, name)) for name in (NAME, TOP))
    left_out = ", ".join(
        label("method", method) for method in config.methods if method not in of_kind("directions", config.methods)
    )
    if left_out:
        options = replace(options, note=f"Left out: {left_out}, a map and no vector. {options.note}".strip())
    tables = features_tables(vectors, tops, wanted.top, options)
    paged = vectors[vectors["setting"].isin(wanted.settings)]
    figures = {
        "features_overlap": overlap_figure(paged, options.note),
        "features_spectrum": spectrum_figure(paged, options.note),
    }
    page_id = neuronpedia(listed(config.sae, read_layer(config))) if config.sae.release else ""
    index = index_page(tops, page_id, tuple(figures), config.report.note, left_out)
    write_text(Paths.of(config).root / NAME / INDEX, index)
    values = {"parts": finding_parts(tables, wanted.settings)}
    template = Path(__file__).with_name("finding.md.j2")
    write_report(config, NAME, template, values, tables, figures, pages=(f"{NAME}/{INDEX}",))


def finding_parts(tables: Mapping[str, Table], settings: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each task and setting the values of some metrics, by method."""
    cells = pd.concat([tables[NAME].data, tables[COHERENCE].data])
    cells = cells[cells["metric"].isin(METRICS) & cells["setting"].isin(settings) & cells["value"].notna()]
    parts = []
    for task in ordered("task", cells["task"]):
        for setting in ordered("setting", settings):
            values = cells[(cells["task"] == task) & (cells["setting"] == setting)].set_index(["metric", "method"])["value"]
            methods = ordered("method", cells["method"])
            found = {name: {m: values[name, m] for m in methods if (name, m) in values} for name in METRICS}
            parts.append({"task": task, "setting": setting, **found})
    return parts


if __name__ == "__main__":
    run(main)
