"""Report of the study ``regions``: numbers, table, figure and finding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import resampled_means
from yapo.names import place_parts
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import change_cell, counts_cell, number_cell
from yapo.reporting.render import Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import by_key, with_changes
from yapo.studies.regions.run import ITEM
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.regions.task", "studies.regions.setting")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "regions"
OVERALL = "Overall"
# What the place of a vector (or the place that a prompt names) is to the region whose answer is weighed.
RELATIONS = ("own", "country", "sibling")
MEASURES = {"likeliest": "Likeliest answer is the region's (%)", "ahead": "Region's answer ahead of a sibling's (%)"}
DIGITS = 1


def main(config: Config) -> None:
    """Write ``tables/regions.*``, ``figures/regions.*`` and ``studies/regions.json``."""
    cells, options, settings = (
        region_cells(read_rows(config, NAME), table_options(config)),
        table_options(config),
        config.studies.regions,
    )
    vectors = f"{label('task', settings.task).lower()}, {label('setting', settings.setting).lower()}"
    values = {"vectors": vectors, **finding_values(cells)}
    tables, figures = {NAME: region_table(cells, vectors, options)}, {NAME: region_figure(cells, options.note)}
    write_report(config, NAME, FINDING, values, tables, figures)


def weighed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for every region, condition and question how the region's answer stands among those of its country's places.

    Args:
        rows: of the stage ``regions``, of all places.

    Returns:
        ``country, region, method, relation, question_id, phrasing``, and the two ``MEASURES``, 0 to 100: whether no other answer
        is likelier, and the share of the siblings whose answer is less likely. An answer that places share is theirs alike.
        The unsteered model and the random direction, which stand under every place, are taken of the region's own.
    """
    found = []
    for (source, method), part in rows.groupby(["country", "method"], sort=False):
        country = place_parts(str(source))[0]
        table = part.pivot(index=ITEM, columns="answer_of", values="log_prob")
        regions = [place for place in table if place != country]
        for region in regions:
            relation = "own" if source == region else "country" if source == country else "sibling"
            if method in ("baseline", "random") and relation != "own":
                continue
            own, siblings = table[region].dropna(), [other for other in regions if other != region]
            others = table.loc[own.index]
            ahead = others[siblings].lt(own, axis=0).where(others[siblings].notna())
            scores = {"likeliest": 100.0 * (own >= others.max(axis=1)), "ahead": 100.0 * ahead.astype(float).mean(axis=1)}
            keys = {"country": country, "region": region, "method": method, "relation": relation}
            found.append(pd.DataFrame({**scores, **keys}).reset_index())
    if not found:
        raise YapoError("no rows of the study regions; name regions in countries and studies.regions.countries")
    return pd.concat(found, ignore_index=True)


def region_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return both measures by country, mean over its regions, and the mean over countries ("Overall"), with changes.

    Returns:
        ``measure, country, method, relation, value, low, high``, ``change`` from the unsteered model with its interval, ``n`` and
        ``n_facts``.
    """
    scored, frames = weighed(rows), []
    keys, within = ["country", "method", "relation"], ["method", "relation"]
    for measure in MEASURES:
        long = scored.assign(score=scored[measure])
        draws = resampled_means(long, [*keys, "region"], resamples=options.resamples, seed=options.seed)
        by_country = draws.groupby(level=keys, sort=False).mean()
        whole = pd.concat({OVERALL: by_country.groupby(level=within, sort=False).mean()}, names=["country"])
        all_draws = pd.concat([whole, by_country])
        counts = (
            pd.concat([long.assign(country=OVERALL), long])
            .groupby(keys)
            .agg(n=("score", "count"), n_facts=("question_id", "nunique"))
        )
        base = pd.MultiIndex.from_tuples([(country, "baseline", "own") for country, *_ in all_draws.index], names=keys)
        changes = with_changes(all_draws, base, options, facts=counts["n_facts"], top=100.0)
        frames.append(changes.join(counts).reset_index().assign(measure=measure))
    cells = pd.concat(frames, ignore_index=True)
    return cells if scored["country"].nunique() > 1 else cells[cells["country"] != OVERALL].reset_index(drop=True)


def region_table(cells: pd.DataFrame, vectors: str, options: TableOptions) -> Table:
    """Return the table: a group for the mean over countries and for each country, a row for each method and relation."""
    at = by_key(cells, ["country", "method", "relation", "measure"])
    groups = []
    for country in [
        *(name for name in (OVERALL,) if name in set(cells["country"])),
        *ordered("country", set(cells["country"]) - {OVERALL}),
    ]:
        lines = [
            _line(at, country, method, relation)
            for method in ordered("method", cells["method"])
            for relation in RELATIONS
            if (country, method, relation, "likeliest") in at
        ]
        groups.append(Group("Mean over countries" if country == OVERALL else label("country", country), tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="Regions within a country",
        caption=f"How the answers of a country's regions stand under vectors of each of its places (vectors: {vectors}).",
        notes=(
            "Test questions that name no place, mean over the regions of a country. The answers of the country and of all its "
            "regions are weighed by their log-probability. What treats all regions alike has half of the siblings behind.",
            "Vector of: the region itself, its country as a whole, or a sibling (mean over them). Prompt: the unsteered model, "
            "asked the form of the question that names that place. Random: a random direction of the vectors' size.",
            f"Change: from the unsteered model, question by question. Brackets: {options.brackets()}.",
        ),
        heads=("Method", "Vector of"),
        columns=(*(column for name in MEASURES.values() for column in (name, "Change")), "n"),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _line(at: Mapping[tuple[Any, ...], dict[str, Any]], country: str, method: str, relation: str) -> TableRow:
    steered, cells = method not in ("baseline", "random"), []
    for measure in MEASURES:
        record = at[country, method, relation, measure]
        cells += [number_cell(record, DIGITS), None if method == "baseline" else change_cell(record, DIGITS)]
    heads = (label("method", method), relation if steered else "")
    return TableRow(heads, (*cells, counts_cell(record)))


@rc_context(style.STYLE)
def region_figure(cells: pd.DataFrame, note: str) -> Figure:
    """Return both measures under vectors of each relation, mean over countries: a panel each, a dot for each method."""
    country = cells["country"].iloc[0]  # the mean, or the only one
    shown = cells[cells["country"] == country]
    steered = [name for name in ordered("method", shown["method"]) if name not in ("baseline", "random")]
    figure = style.new_figure(9.0, 0.18 * len(RELATIONS) * (len(steered) + 1) + 1.9)
    for axes, (measure, name) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        part = shown[shown["measure"] == measure]
        for record in records(part[part["method"].isin(steered)]):
            shift = 0.8 * ((steered.index(record["method"]) + 0.5) / len(steered) - 0.5)
            style.interval_dot(axes, record, RELATIONS.index(record["relation"]) + shift, record["method"])
        for control in ("baseline", "random"):
            for record in records(part[part["method"] == control]):
                axes.axvline(record["value"], color=style.colour(control), linestyle=":", linewidth=1.2)
        style.name_lines(axes, [f"Vector of: {relation}" for relation in RELATIONS])
        axes.set_xlabel(name)
        axes.set_xlim(-2, 102)
    handles = [style.method_handle(method, linestyle="") for method in steered]
    handles += [style.method_handle(control, linestyle=":", marker="") for control in ("baseline", "random")]
    style.legend_below(figure, handles)
    scope = "mean over countries" if country == OVERALL else label("country", country)
    style.frame_texts(figure, f"Regions' answers under vectors of each place, {scope}", note)
    return figure


def finding_values(cells: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``: of the mean over countries, or of the only one."""
    country = cells["country"].iloc[0]
    at = by_key(cells[cells["country"] == country], ["method", "relation", "measure"])
    methods = [name for name in ordered("method", cells["method"]) if name not in ("baseline", "random", "prompt")]
    return {
        "countries": cells.loc[cells["country"] != OVERALL, "country"].nunique(),
        "n": at["baseline", "own", "likeliest"]["n"],
        "facts": at["baseline", "own", "likeliest"]["n_facts"],
        "measures": [
            {
                "name": measure,
                "unsteered": at["baseline", "own", measure],
                "random": at["random", "own", measure],
                "named": [
                    (relation, at["prompt", relation, measure]) for relation in RELATIONS if ("prompt", relation, measure) in at
                ],
                "methods": [
                    (
                        method,
                        [
                            (relation, at[method, relation, measure])
                            for relation in RELATIONS
                            if (method, relation, measure) in at
                        ],
                    )
                    for method in methods
                ],
            }
            for measure in MEASURES
        ],
    }


if __name__ == "__main__":
    run(main)
