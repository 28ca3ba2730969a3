"""Multiple choice of BLEnD (Myung et al., arXiv 2406.09948): everyday life in 16 countries and regions, asked in English.

Each question names its country. The wrong options are other countries' answers. A question to a country is published with many
sets of options; ``MOST_SETS`` of them, drawn by the seed, are taken, as in the paper. The published options stand in
alphabetical order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd

from yapo.data.country_names import country_key
from yapo.data.published import LETTERS, Cells, Layout, Question, items_of, json_object, letter_index, options_fault, text_of
from yapo.data.text import shown, text_key
from yapo.errors import YapoError

LAYOUT = Layout(
    "nayeon212/BLEnD (multiple-choice-questions) of the hub",
    "*mc_questions*",
    ("MCQID", "ID", "country", "prompt", "choices", "choice_countries", "answer_idx"),
)
LANGUAGE = "English"
MOST_SETS = 5
INSTRUCTION = " Without any explanation"  # begins what follows the question in a prompt
WESTERN = ("US", "UK")  # whose answer is the control, the first that is offered


def load_blend(path: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy, and how many sets of options were left out.

    Raises:
        YapoError: the copy cannot be read, or a row that is drawn is not as published.
    """
    asked: dict[tuple[str, str], list[tuple[str, Cells]]] = defaultdict(list)
    for place, row in LAYOUT.read(path):
        key = country_key(row["country"], f"{place}: country")
        asked[key, text_of(row, "ID", place)].append((place, row))
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    for (country, question_id), rows in sorted(asked.items()):
        kept: dict[tuple[str, frozenset[str]], Question] = {}
        for i in np.random.default_rng([seed, *f"{question_id}/{country}".encode()]).permutation(len(rows)):
            if len(kept) == MOST_SETS:
                dropped[f"more than {MOST_SETS} sets of options"] += 1
                continue
            place, row = rows[i]
            question, fault = _question(place, row, country, question_id, len(kept))
            key_of_set = (question.forms["localized"], frozenset(map(text_key, map(str, question.options))))
            if fault or key_of_set in kept:
                dropped[fault or "the same options again"] += 1
            else:
                kept[key_of_set] = question
        questions += kept.values()
    return items_of(questions, seed), {"rows": sum(map(len, asked.values())), "dropped": dict(sorted(dropped.items()))}


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy and their language."""
    return {country_key(row["country"], f"{place}: country"): LANGUAGE for place, row in LAYOUT.read(path)}


def _question(place: str, row: Cells, country: str, question_id: str, phrasing: int) -> tuple[Question, str]:
    """Return a row as a question, and what is wrong with its options."""
    asked, instruction, _ = text_of(row, "prompt", place).partition(INSTRUCTION)
    if not instruction or not asked.strip():
        raise YapoError(f"{place}: prompt has no{INSTRUCTION} behind its question; give the file as published")
    choices, countries = (_by_letter(row, name, place) for name in ("choices", "choice_countries"))
    if choices.keys() != countries.keys() or not set(choices) <= set(LETTERS) or len(choices) < 2:
        raise YapoError(f"{place}: choices are {', '.join(choices)}, countries {', '.join(countries)}; give A to D in both")
    letters = sorted(choices)
    answer = letter_index(row["answer_idx"], len(letters), f"{place}: answer_idx")
    owners = [countries[letter] for letter in letters]
    own = str(row["country"])
    control = next((owners.index(name) for name in WESTERN if name in owners and own not in WESTERN), -1)
    options = [choices[letter] for letter in letters]
    question = Question(
        question_id, LANGUAGE, country, "everyday life", "BLEnD", {"localized": asked.strip()}, options, answer,
        -1 if control == answer else control, phrasing,
    )  # fmt: skip
    return question, options_fault(options)


def _by_letter(row: Cells, column: str, place: str) -> dict[str, str]:
    """Return the texts of a cell by their letter: a JSON object, or one that is read already."""
    value = json_object(row[column])
    if value is None or not all(isinstance(text, str) for text in value.values()):
        raise YapoError(f"{place}: {column} is {shown(row[column])}; give texts by letter, as JSON")
    return value
