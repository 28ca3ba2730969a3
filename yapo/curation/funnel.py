"""The funnel: how many candidates survive each step, by country and by topic, and examples of what was dropped and why."""

from __future__ import annotations

import pandas as pd

from yapo.curation.steps import STEPS
from yapo.reporting.render import pipe_row

LEVELS = ("all", "country", "topic")
ASKED = "asked"
_NO_CANDIDATE = "invented_country"


def funnel(kept: pd.DataFrame, dropped: pd.DataFrame) -> pd.DataFrame:
    """Count the candidates that are left after each step.

    Args:
        kept: candidates after the last step.
        dropped: of all steps.

    Returns:
        ``level`` (``all``, ``country`` or ``topic``), ``name``, ``asked``, and a count for each step. Countries and topics stand
        in the order of the candidates' names.
    """
    gone = dropped[dropped["reason"] != _NO_CANDIDATE]
    rows = pd.concat([kept[["country", "topic"]].assign(step=""), gone[["country", "topic", "step"]]], ignore_index=True)
    rows["all"] = "all"
    return pd.concat([_level(rows, level) for level in LEVELS], ignore_index=True)


def reasons(dropped: pd.DataFrame) -> pd.DataFrame:
    """Count what was dropped: ``step, reason, country, n``, steps in their order, the commonest reason first."""
    counts = dropped.groupby(["step", "reason", "country"]).size().rename("n").reset_index()
    total = counts.groupby(["step", "reason"])["n"].transform("sum")
    place = counts["step"].map({step: place for place, step in enumerate(STEPS)})
    keyed = counts.assign(total=-total, place=place)
    return keyed.sort_values(["place", "total", "reason", "country"])[counts.columns].reset_index(drop=True)


def examples(dropped: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the first dropped candidates of each step and reason, with another text each."""
    return (
        dropped.drop_duplicates(["step", "reason", "detail"])
        .groupby(["step", "reason"], sort=False)
        .head(most)
        .reset_index(drop=True)
    )


def funnel_text(kept: pd.DataFrame, dropped: pd.DataFrame) -> str:
    """Return the funnel over all countries as a Markdown table, with the reasons of each step."""
    counts = funnel(kept, dropped).iloc[0]
    by_step = {
        str(step): ", ".join(f"{reason} {n}" for reason, n in part.groupby("reason", sort=False)["n"].sum().items())
        for step, part in reasons(dropped).groupby("step", sort=False)
    }
    lines = [pipe_row(["step", "left", "dropped"]), pipe_row([":--", "--:", ":--"]), pipe_row([ASKED, f"{counts[ASKED]:,}", ""])]
    lines += [pipe_row([step, f"{counts[step]:,}", by_step.get(step, "")]) for step in STEPS]
    return "\n".join(lines) + "\n"


def _level(rows: pd.DataFrame, level: str) -> pd.DataFrame:
    counts = rows.groupby([level, "step"]).size().unstack(fill_value=0)
    left = counts.sum(axis=1)
    table = pd.DataFrame({"level": level, "name": counts.index, ASKED: left.to_numpy()})
    for step in STEPS:
        left = left - counts.get(step, 0)
        table[step] = left.to_numpy()
    return table
