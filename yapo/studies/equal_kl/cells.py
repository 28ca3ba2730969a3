"""Numbers of the study ``equal_kl``: each method's gain at the multiplier that validation chose and at equal divergence."""

from __future__ import annotations

import pandas as pd

from yapo.checks import CONTROLS, Setting
from yapo.reporting.cells import cells, country_scores, printed_units, summary_draws
from yapo.reporting.names import in_order, ordered
from yapo.reporting.tables import TableOptions
from yapo.studies.equal_kl.run import CHOSEN
from yapo.studies.means import printed_scores

KEYS = ["task", "setting", "method", "level"]
UNSTEERED = tuple(name for name in CONTROLS if name != "random")  # have no multiplier: the same at every level
GAIN = ("delta_vs_baseline", "delta_low", "delta_high")


def rows_at(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return the test rows of a level, with those of the conditions that have no multiplier."""
    chosen = rows[rows["level"] == CHOSEN]
    if level == CHOSEN:
        return chosen
    return pd.concat([chosen[chosen["method"].isin(UNSTEERED)], rows[rows["level"] == level]], ignore_index=True)


def first_setting(data: pd.DataFrame) -> Setting:
    """Return the setting that the figure and the finding speak of: non-localized questions, or else the first."""
    settings = ordered("setting", data["setting"])
    return "nonlocalized" if "nonlocalized" in settings else settings[0]


def gain_cells(rows: pd.DataFrame, multipliers: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return score, gain, multiplier and divergence of every method at every level, mean over countries.

    Args:
        rows: test rows of all countries, see the stage ``equal_kl``.
        multipliers: its multipliers, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``KEYS``, then the columns of ``yapo.reporting.cells.cells`` and, where the method has a multiplier: ``multiplier`` and
        ``divergence``, the medians over countries with their ends (``_low``, ``_high``), ``vectors``, how many of them reach the
        level (``reached``), and of how many the divergence is not monotone (``falling``). A method that does not reach the level
        in every country has no score there. Under ``selection.max_kl`` also ``given_up``: what the bound costs in validation
        score, mean over countries, in printed units.
    """
    found = []
    for level in sorted(rows["level"].unique()):
        part = printed_units(rows_at(rows, level))
        draws = summary_draws(country_scores(part, resamples=options.resamples, seed=options.seed))
        found.append(cells(draws, part, options.confidence).assign(level=level))
    scores = pd.concat(found, ignore_index=True)
    again = scores["method"].isin(UNSTEERED) & (scores["level"] != CHOSEN)
    made = scores[~again].merge(_over_countries(multipliers), on=KEYS, how="outer")
    return in_order(made, ["task", "setting", "method"])[[*KEYS, *(name for name in made if name not in KEYS)]]


def _over_countries(multipliers: pd.DataFrame) -> pd.DataFrame:
    if "given_up" in multipliers:
        multipliers = multipliers.assign(given_up=printed_scores(multipliers.rename(columns={"given_up": "score"})))
    grouped = multipliers.groupby(KEYS, sort=False)
    parts = {"vectors": grouped.size(), "reached": grouped["multiplier"].count()}
    parts["falling"] = grouped["monotone"].agg(lambda monotone: int((~monotone.astype(bool)).sum()))
    if "given_up" in multipliers:
        parts["given_up"] = grouped["given_up"].mean()
    for name in ("multiplier", "divergence"):
        parts |= {name: grouped[name].median(), f"{name}_low": grouped[name].min(), f"{name}_high": grouped[name].max()}
    return pd.DataFrame(parts).reset_index()
