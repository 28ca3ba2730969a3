"""Numbers of the study ``side_effects``: what each method gains, what it costs elsewhere, and the two in one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from yapo.evaluation.bootstrap import intervals
from yapo.reporting.names import in_order, ordered
from yapo.reporting.tables import TableOptions
from yapo.studies.knowledge.report import ABOUT, in_percent
from yapo.studies.means import country_means
from yapo.studies.side_effects.run import GAIN, TEXT

LINE = ["measure", "metric", "about"]
KEYS = [*LINE, "method"]
LOST, DAMAGE, ENTANGLEMENT = ((name, f"{name}_low", f"{name}_high") for name in ("lost", "damage", "entanglement"))
GAINED = (GAIN, f"{GAIN}_low", f"{GAIN}_high")


@dataclass(frozen=True)
class SideEffects:
    """Hold the losses of every measure, and gain, damage and entanglement of every method.

    Attributes:
        measures: ``KEYS``, value, low, high, ``LOST`` (percent of the unsteered score; none of the baseline), n (answers),
            n_questions, counted. Scores are shares; that of plain text, of which less is better, the perplexity.
        methods: method, ``GAINED`` (points of 100), ``DAMAGE`` (percent), ``ENTANGLEMENT``.
    """

    measures: pd.DataFrame
    methods: pd.DataFrame


def knowledge_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of the study ``knowledge`` that are a side effect: not those about the steered country.

    Of each kind of question one metric counts, the first that is a share of right answers and has a value for every question.
    """
    single = rows[(rows["question_id"] != "") & (rows["about"] != "own") & rows["metric"].map(in_percent)]
    first = single.groupby("questions")["metric"].transform("first")
    return single[single["metric"] == first].rename(columns={"questions": "measure", "value": "score"})


def side_effects(rows: pd.DataFrame, asked: pd.DataFrame, options: TableOptions) -> SideEffects:
    """Return scores and losses of every measure, and gain, damage and entanglement of every method.

        loss of a measure = 1 - (score under the vector) / (score of the unsteered model)
        damage            = mean loss over the measures, each counted once
        gain              = score on the test questions that the vector is for, less that of the unsteered model
        entanglement      = damage / gain,    where the interval of the gain lies above 0

    Scores are means over countries. Facts and questions are resampled, the same ones for all measures and methods. A measure at
    which the unsteered model is no better than a guess is not counted: it has nothing to lose there.

    Args:
        rows: of the stage ``side_effects``, of all countries.
        asked: of the stage ``knowledge``, of the same countries.
        options: resamples, confidence and seed.
    """
    rows = pd.concat([rows, knowledge_rows(asked)], ignore_index=True)
    rows = rows.fillna({"metric": "", "about": "", "guess": 0.0})
    draws = country_means(rows, KEYS, options, within=LINE)
    guess = rows.groupby(KEYS, sort=False)["guess"].first().reindex(draws.index)
    measure, text = draws.index.get_level_values("measure"), draws.index.get_level_values("measure") == TEXT
    draws[text], guess[text] = np.exp(draws[text]), np.exp(guess[text])
    before = draws.loc[[(*line, "baseline") for *line, _ in draws.index]].set_axis(draws.index)
    side, steered = measure != GAIN, draws.index.get_level_values("method") != "baseline"
    counted = before[0] > guess

    lost = 100.0 * (1.0 - draws / before.where(before > 0))[side & steered]
    damage = lost[counted[side & steered]].groupby(level="method", sort=False).mean()
    gain = (100.0 * (draws - before)[~side & steered]).droplevel([0, 1, 2]).reindex(damage.index)
    ratio = damage / gain.where(gain > 0)
    parts = [
        intervals(part, options.confidence).set_axis(list(names), axis=1)
        for part, names in ((gain, GAINED), (damage, DAMAGE), (ratio, ENTANGLEMENT))
    ]
    methods = pd.concat(parts, axis=1)
    methods.loc[~(methods[GAINED[1]] > 0), list(ENTANGLEMENT)] = np.nan

    grouped = rows.groupby(KEYS, sort=False)
    counts = pd.DataFrame({"n": grouped.size(), "n_questions": grouped["question_id"].nunique(), "counted": counted})
    losses = intervals(lost, options.confidence).set_axis(list(LOST), axis=1)
    measures = pd.concat([intervals(draws, options.confidence), losses, counts], axis=1)[side].reset_index()
    of_text = measures["measure"] == TEXT
    measures.loc[of_text, ["value", "low", "high"]] = 1 / measures.loc[of_text, ["value", "high", "low"]].to_numpy()
    orders = {"measure": list(measure.unique()), "about": list(ABOUT), "method": ordered("method", measures["method"])}
    for column, order in orders.items():
        measures[column] = pd.Categorical(measures[column], order, ordered=True)
    measures = measures.sort_values(KEYS, ignore_index=True).astype({column: str for column in orders})
    return SideEffects(measures, in_order(methods.reset_index(), ["method"]))
