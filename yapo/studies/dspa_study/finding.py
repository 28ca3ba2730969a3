"""What DSPA's studies say, in words made from their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.studies.dspa_study.chat_table import CHAT, EVERY, FLOPS
from yapo.studies.dspa_study.table import BASELINE, NAME, OWN, PAIRS, STRENGTHS

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
            "and with so many comparisons some intervals miss zero by chance. The setting itself, where it is not the paper's, "
            "was chosen on validation questions such as these, which flatters it against every change.",
            "A difference whose interval holds zero is no proof that there is none.",
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
        told = ", ".join(f"{_change(c)} ({_signed(c['diff'], _digits(task))})" for c in records(moved))
        said.append(f"{word.capitalize()} than the setting at λ = 1, by an interval without zero: {told or 'nothing'}.")
    said.append(f"{len(ones) - len(better) - len(worse)} of the {len(ones)} other changes cannot be told apart from it.")
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
            f"{setting['score']:.{digits}f} at {text} ({_signed(gain, digits)}{_interval(low, high, digits, _signed)} on the "
            f"unsteered {base['score']:.{digits}f})"
        )
    return f"the experiment's setting scores {' and '.join(told)}."


def _pairs(cells: pd.DataFrame, task: str) -> str:
    """The smallest N from which on no size can be told to fall behind all pairs."""
    own = cells[(cells["change"] == PAIRS) & (cells["strength"] == "one")]
    if own.empty:
        return "Fewer pairs were not tried."
    sizes = sorted(records(own), key=lambda cell: float(cell["value"]))
    whole, smaller = sizes[-1]["value"], [cell for cell in sizes if not cell["is_own"]]
    behind = [float(cell["value"]) for cell in smaller if cell["diff_high"] < 0]
    enough = [cell for cell in smaller if not behind or float(cell["value"]) > max(behind)]
    if not smaller:
        return "Fewer pairs were not tried."
    few, digits = smaller[0], _digits(task)
    spread = f"N = {few['value']}: subsets from {few['lowest']:.{digits}f} to {few['highest']:.{digits}f}"
    if not enough:
        return f"Every smaller N falls behind all {whole} pairs at λ = 1 ({spread})."
    first = enough[0]
    interval = _interval(first["diff_low"], first["diff_high"], digits, _signed)
    return (
        f"From N = {first['value']} on, no size can be told to fall behind all {whole} pairs at λ = 1 "
        f"({_signed(first['diff'], digits)}{interval}; {spread})."
    )


def _change(cell: dict[str, Any]) -> str:
    return f"{_NAMES.get(cell['change'], cell['change'])} {cell['value']}"


def _chat(cells: pd.DataFrame) -> str:
    """Grades by turn and win rates over all countries; which methods' grades differ from the unsteered model's."""
    over = cells[cells["country"] == EVERY]
    found = {(c["kind"], c["turn"], c["method"]): c for c in records(over)}
    base = [f"{_number(found['grade', turn, 'baseline']['value'], 2)} in turn {turn}" for turn in _turns(found, "baseline")]
    graded = bool(over.loc[over["kind"] == "grade", "value"].notna().any())
    told = [f"Judged conversations, unsteered: {', '.join(base)}." if graded else "Judged conversations: no turn was graded."]
    for method in ordered("method", over.loc[over["method"] != "baseline", "method"]):
        parts = [_grades(found, method)] if graded and ("grade", 0, method) in found else []
        parts += [_win_rate(found["pair", 1, method])] if ("pair", 1, method) in found else []
        told.append(f"{label('method', method)}: {'; '.join(parts)}.")
    pairs = over[over["kind"] == "pair"]
    agree = pairs["agree"].mean()
    if np.isfinite(agree):
        told.append(f"Both orders agree on {100 * agree:.0f}% of the judged pairs.")
    else:
        told.append("No pair could be scored." if pairs["differ"].any() else "No pair needed a judge.")
    return " ".join(told)


def _turns(found: dict[tuple[Any, ...], dict[str, Any]], method: str) -> list[int]:
    return [turn for turn in (1, 2) if ("grade", turn, method) in found]


def _grades(found: dict[tuple[Any, ...], dict[str, Any]], method: str) -> str:
    both = found["grade", 0, method]
    turns = " and ".join(_number(found["grade", turn, method]["value"], 2) for turn in _turns(found, method))
    if not np.isfinite(both["diff"]):
        return f"{turns}, of which none can be compared with the unsteered model's"
    word = "above" if both["diff_low"] > 0 else "below" if both["diff_high"] < 0 else "cannot be told apart from"
    interval = _interval(both["diff_low"], both["diff_high"], 2, _signed)
    return f"{turns}, {word} the unsteered model's ({_signed(both['diff'], 2)}{interval} over both turns)"


def _win_rate(pair: dict[str, Any]) -> str:
    """No verdict where pairs that differ went unscored: how they would have ended is not known."""
    lost = f"{pair['lost']} of {pair['differ']} answers that differ were not scored"
    changed = f"{100 * pair['changed']:.0f}% of its answers changed"
    if not np.isfinite(pair["value"]):
        return f"no win rate against the unsteered model ({lost if pair['differ'] else 'not scored'}), {changed}"
    rate = f"{_number(pair['value'], 1)}%{_interval(pair['low'], pair['high'], 1, _number)}"
    if pair["lost"]:
        return f"a win rate of {rate} against the unsteered model but no verdict ({lost}), {changed}"
    if pair["high"] < 50 or pair["low"] > 50:
        return f"{'loses' if pair['high'] < 50 else 'wins'} against the unsteered model with {rate}, {changed}"
    return f"cannot be told apart from the unsteered model with a win rate of {rate}, {changed}"


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


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "not scored"


def _interval(low: float, high: float, digits: int, shown: Callable[[float, int], str]) -> str:
    """An interval behind its number; nothing where the questions are too few for one."""
    return f" [{shown(low, digits)}, {shown(high, digits)}]" if np.isfinite(low) else ""
