"""A page of examples: test questions, gold answers and what every method answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yapo.checks import Task
from yapo.data.csv_text import csv
from yapo.evaluation.metrics import round_half_up
from yapo.reporting.cells import records
from yapo.reporting.html import page, render
from yapo.reporting.names import in_order, label, ordered, writing
from yapo.reporting.render import escape_markdown, pipe_row
from yapo.reporting.tables import Table, TableOptions

_BODY = Path(__file__).with_name("examples.html.j2")
FACTS: dict[Task, int] = {"open_ended": 3, "mcq": 2}
LONGEST = 300
SEPARATOR = " | "
TITLE = "Examples"

_ITEM = ["language", "country", "question_id", "variant", "phrasing"]
_COLUMNS = ["language", "country", "task", "question_id", "variant", "phrasing", "question", "options", "answer", "method"]
_ANSWERS = ["multiplier", "completion", "score", "parsed"]


def examples_table(evaluation: pd.DataFrame, items: pd.DataFrame, options: TableOptions) -> Table:
    """Return the chosen examples as a table: csv, Markdown and a page, no LaTeX. See ``choose_examples``."""
    examples = choose_examples(evaluation, items, options.seed)
    caption = "Test questions of one country per language, with the gold answer and what each method answered."
    if (examples["task"] == "open_ended").any():
        caption += f" Open-ended scores are on a scale of 0 to 10 (scorer: {options.scorer})."
    sample = "No random sample: of the test questions those on which the methods differ most, the same for all methods."
    notes = (sample, *([options.note] if options.note else []))
    page, text = examples_html(examples, caption, notes), examples_markdown(examples, caption, notes)
    rows = examples.assign(options=examples["options"].map(SEPARATOR.join))
    return Table("examples", rows, {"csv": csv(rows), "md": text, "html": page})


def choose_examples(evaluation: pd.DataFrame, items: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Choose test questions of the first country of each language: those on which the methods differ most.

    A question is shown with the vector of its own setting (localized or nonlocalized); where only the mixed setting was
    evaluated, with that one. The same facts are shown in both variants, in their first phrasing.

    Args:
        evaluation: test results, one row per item, method, task and setting.
        items: all items; the source of the options.
        seed: decides between questions on which they differ equally.

    Returns:
        One row per question and method: item columns, ``task``, ``method``, ``multiplier``, ``completion``, ``score``,
        ``parsed``; ``options`` is a list.
    """
    options = items[_ITEM].assign(options=items["options"].map(lambda texts: list(map(str, texts))))
    of_own_form = evaluation[evaluation["setting"] == evaluation["variant"]]
    rows = of_own_form if len(of_own_form) else evaluation
    picked = []
    for language in ordered("language", rows["language"]):
        spoken = rows[rows["language"] == language]
        country = ordered("country", spoken["country"])[0]
        for task, wanted in FACTS.items():
            here = spoken[(spoken["country"] == country) & (spoken["task"] == task)]
            first = here.groupby(["question_id", "variant"])["phrasing"].transform("min")
            here = here[here["phrasing"] == first]
            picked.append(here[here["question_id"].isin(_telling(here, wanted, seed))])
    examples = pd.concat(picked).merge(options, on=_ITEM, how="left", validate="many_to_one")
    for columns in (["variant", "method"], ["question_id"], ["language", "task"]):  # stable sorts, the slowest last
        examples = in_order(examples, columns)
    return examples[[*_COLUMNS, *_ANSWERS]].drop_duplicates([*_ITEM, "task", "method"]).reset_index(drop=True)


def _telling(rows: pd.DataFrame, wanted: int, seed: int) -> list[str]:
    """Return the facts on which methods differ most: by the spread of scores, then by the number of answers, then by lot."""
    facts = sorted(set(rows["question_id"]))
    lot = dict(zip(facts, np.random.default_rng(seed).permutation(len(facts)), strict=True))
    sides = rows.groupby(["question_id", "variant"])
    spread = sides["score"].std(ddof=0).fillna(0.0).groupby("question_id").sum().round(9)
    answers = sides["completion"].nunique().groupby("question_id").sum()
    return sorted(facts, key=lambda fact: (-spread[fact], -answers[fact], lot[fact]))[:wanted]


def examples_html(examples: pd.DataFrame, caption: str, notes: tuple[str, ...]) -> str:
    """Return the examples as a self-contained page; every text carries its language and writing direction."""
    languages = _languages(examples)
    links = [(language["anchor"], language["heading"]) for language in languages]
    return page(TITLE, caption, notes, render(_BODY, languages=languages), links)


def examples_markdown(examples: pd.DataFrame, caption: str, notes: tuple[str, ...]) -> str:
    """Return the examples as GitHub-flavoured Markdown, with inline HTML for the writing direction."""
    lines = [f"# {TITLE}", "", escape_markdown(caption), ""]
    for language in _languages(examples):

        def spoken(text: str, direction: str = "auto", code: str = language["code"]) -> str:
            return f'<span lang="{code}" dir="{direction}">{escape_markdown(text)}</span>'

        lines += [f"## {escape_markdown(language['heading'])}", ""]
        for card in language["cards"]:
            sides = card["sides"]
            lines += [
                f"### {escape_markdown(card['heading'])}",
                "",
                pipe_row(["", *(escape_markdown(side["heading"]) for side in sides)]),
            ]
            lines.append(pipe_row([":--"] * (1 + len(sides))))
            asked = ["<br>".join([spoken(side["question"], language["dir"]), *_options(side, spoken)]) for side in sides]
            lines.append(pipe_row(["*Question*", *asked]))
            lines.append(pipe_row(["*Gold answer*", *(spoken(side["gold"]) for side in sides)]))
            for method in card["methods"]:
                answers = [spoken(a["text"]) + f" ({a['score']})" if a else "" for a in method["answers"]]
                lines.append(pipe_row([escape_markdown(method["name"]), *answers]))
            lines.append("")
    lines += [f"- {escape_markdown(note)}" for note in notes]
    return "\n".join(lines) + "\n"


def _options(side: dict[str, Any], spoken: Callable[[str], str]) -> list[str]:
    return [f"{place}. {spoken(option)}" for place, option in enumerate(side["options"], start=1)]


def _languages(examples: pd.DataFrame) -> list[dict[str, Any]]:
    languages = []
    for key, spoken in examples.groupby(["language", "country"], sort=False):
        language, country = map(str, key)
        code, direction = writing(language)
        cards = [_card(part) for _, part in spoken.groupby(["task", "question_id"], sort=False)]
        heading = f"{label('language', language)}: {label('country', country)}"
        languages.append({"anchor": country, "heading": heading, "code": code, "dir": direction, "cards": cards})
    return languages


def _card(part: pd.DataFrame) -> dict[str, Any]:
    """Return one fact: its localized and nonlocalized form side by side, and the answers of every method to each."""
    task, fact = str(part["task"].iloc[0]), str(part["question_id"].iloc[0])
    variants = ordered("variant", part["variant"])
    sides = []
    for variant in variants:
        first = part[part["variant"] == variant].iloc[0]
        options = list(first["options"]) if task == "mcq" else []
        gold, question = first["answer"], str(first["question"])
        sides.append({"heading": label("variant", variant), "question": question, "options": options, "gold": gold})
    methods = []
    for method in ordered("method", part["method"]):
        found = {row["variant"]: _answer(row) for row in records(part[part["method"] == method])}
        methods.append({"name": label("method", method), "answers": [found.get(variant) for variant in variants]})
    return {"heading": f"{label('task', task)} ({fact})", "sides": sides, "methods": methods}


def _answer(row: dict[str, Any]) -> dict[str, str]:
    text = str(row["completion"]).strip()
    return {"text": text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …", **_verdict(row)}


def _verdict(row: dict[str, Any]) -> dict[str, str]:
    if math.isnan(row["score"]):
        return {"score": "not scored", "class": ""}
    if row["task"] == "open_ended":
        return {"score": f"{float(round_half_up(row['score'], 1)):.1f} of 10", "class": ""}
    if not row["parsed"]:
        return {"score": "✗ not parsed", "class": "wrong"}
    return {"score": "✓ right", "class": "right"} if row["score"] > 0 else {"score": "✗ wrong", "class": "wrong"}
