"""What DSPA's studies say, in words made from their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.dspa_chat import CHAT, EVERY, FLOPS
from yapo.reporting.dspa_study import BASELINE, NAME, OWN, PAIRS, STRENGTHS
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS

_NAMES = {"alpha": "α", "layers": "layers", "demix": "de-mixing"}


def study_finding(cells: pd.DataFrame, chat: pd.DataFrame, flops: pd.DataFrame, scorers: tuple[str, str]) -> Finding:
    """The study as the report shows it.

    Args:
        cells: what ``dspa_study.with_own`` returned.
        chat: what ``dspa_chat.chat_cells`` returned.
        flops: rows about costs, of all countries.
        scorers: who scored open-ended answers, and conversations.
    """
    parts = [_task(cells[cells["task"] == task], task) for task in ordered("task", cells["task"])]
    return Finding(
        name=NAME,
        title="DSPA's own studies",
        question=(
            "How few pairs does DSPA need, which of its options matter, what does fitting it cost, and what does it do to "
            "conversations about other things?"
        ),
        reading="\n".join([*parts, _chat(chat), _costs(flops)]),
        limits=(
            "Changes are measured on validation questions, one at a time from one setting: a joint search could end elsewhere, "
            "and with so many comparisons some intervals miss zero by chance.",
            f"Scorers: {scorers[0]}; conversations: {scorers[1]}.",
            "The questions of the judged conversations are few and our own unless others are named; nothing compares with "
            "published scores of MT-Bench or AlpacaEval.",
        ),
        tables=(NAME, CHAT, FLOPS),
        figures=(NAME,),
    )


def _task(cells: pd.DataFrame, task: str) -> str:
    """Setting against unsteered, how few pairs do as well, and which changes leave the setting's interval."""
    said = [f"{label('task', task)}:", _setting(cells, task), _pairs(cells, task)]
    ones = cells[(cells["strength"] == "one") & ~cells["change"].isin([BASELINE, OWN, PAIRS]) & ~cells["is_own"]]
    better, worse = ones[ones["diff_low"] > 0], ones[ones["diff_high"] < 0]
    for moved, word in ((better, "better"), (worse, "worse")):
        told = ", ".join(f"{_change(c)} ({_signed(c['diff'], task)})" for c in records(moved))
        said.append(f"{word.capitalize()} than the setting at λ = 1, by an interval without zero: {told or 'nothing'}.")
    said.append(f"{len(ones) - len(better) - len(worse)} of the {len(ones)} other changes cannot be told from it.")
    return " ".join(said)


def _setting(cells: pd.DataFrame, task: str) -> str:
    told = []
    for strength, text in STRENGTHS.items():
        own = cells[cells["strength"] == strength]
        base, setting = (own[own["change"] == change].iloc[0] for change in (BASELINE, OWN))
        # The unsteered model's difference from the setting, turned around.
        gain, low, high = -base["diff"], -base["diff_high"], -base["diff_low"]
        digits = _digits(task)
        told.append(
            f"{setting['score']:.{digits}f} at {text} ({_signed(gain, task)} [{_signed(low, task)}, {_signed(high, task)}] "
            f"on the unsteered {base['score']:.{digits}f})"
        )
    return f"the experiment's setting scores {' and '.join(told)}."


def _pairs(cells: pd.DataFrame, task: str) -> str:
    """The smallest N from which on no size falls behind all pairs."""
    own = cells[(cells["change"] == PAIRS) & (cells["strength"] == "one")]
    if own.empty:
        return "Fewer pairs were not tried."
    sizes = sorted(records(own), key=lambda cell: float(cell["value"]))
    whole, smaller = sizes[-1]["value"], [cell for cell in sizes if not cell["is_own"]]
    behind = [float(cell["value"]) for cell in smaller if cell["diff_high"] < 0]
    enough = [cell for cell in smaller if not behind or float(cell["value"]) > max(behind)]
    few = smaller[0]
    spread = f"N = {few['value']}: subsets from {few['lowest']:.{_digits(task)}f} to {few['highest']:.{_digits(task)}f}"
    if not enough:
        return f"Every smaller N falls behind all {whole} pairs at λ = 1 ({spread})."
    first = enough[0]
    interval = f"[{_signed(first['diff_low'], task)}, {_signed(first['diff_high'], task)}]"
    return (
        f"From N = {first['value']} on, no size falls behind all {whole} pairs at λ = 1 "
        f"({_signed(first['diff'], task)} {interval}; {spread})."
    )


def _change(cell: dict[str, Any]) -> str:
    return f"{_NAMES.get(cell['change'], cell['change'])} {cell['value']}"


def _chat(cells: pd.DataFrame) -> str:
    """Grades by turn and win rates over all countries; which methods' differ from the unsteered model's."""
    over = cells[cells["country"] == EVERY]
    grades = over[(over["kind"] == "grade") & (over["turn"] > 0)]
    if grades["value"].isna().all():
        return "Judged conversations: nothing could be scored."
    base = [f"{c['value']:.2f} in turn {c['turn']}" for c in records(grades[grades["method"] == "baseline"])]
    told = [f"Judged conversations, unsteered: {', '.join(base)}."]
    rates = over[over["kind"] == "pair"].set_index("method")
    for method in ordered("method", rates.index):
        rate = rates.loc[method]
        turns = " and ".join(f"{value:.2f}" for value in grades.loc[grades["method"] == method, "value"])
        verdict = "loses" if rate["high"] < 50 else "wins" if rate["low"] > 50 else "draws"
        told.append(
            f"{label('method', method)}: {turns}; {verdict} against the unsteered model with {rate['value']:.1f}% "
            f"[{rate['low']:.1f}, {rate['high']:.1f}], {100 * rate['changed']:.0f}% of its answers changed."
        )
    agree = rates["agree"].mean()
    told.append(
        f"Both orders agree on {100 * agree:.0f}% of the judged pairs." if np.isfinite(agree) else "No pair needed a judge."
    )
    return " ".join(told)


def _costs(rows: pd.DataFrame) -> str:
    """What the redundant pass is, and what is run instead."""
    total = rows.groupby("quantity")["flops"].sum()
    counted = 100 * total["measured"] / total["run"]
    return (
        f"Fitting: of what the paper's accounting gives for three passes over a prompt, {_percent(total, 'two_passes')} are left "
        f"with the redundant pass dropped, and {_percent(total, 'one_pass')} with one pass. What is run here, attention and "
        f"autoencoders included, is {_percent(total, 'run')} of it; {100 * total['padding'] / total['run']:.0f}% of that is "
        f"padding, {100 * (total['encoders'] + total['check']) / total['run']:.0f}% autoencoders and "
        f"{100 * total['displacement'] / total['run']:.0f}% a pass over the validation pairs. Torch counts "
        f"{'the same number' if counted == 100 else f'{counted:.1f}% of that'}."
    )


def _percent(total: pd.Series, quantity: str) -> str:
    return f"{100 * total[quantity] / total['three_passes']:.0f}%"


def _digits(task: str) -> int:
    return 1 if task == "mcq" else 2


def _signed(value: float, task: str) -> str:
    return f"{round(value, _digits(task)) + 0.0:+.{_digits(task)}f}".replace("-", MINUS)
