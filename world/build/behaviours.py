"""Questions on behaviours other than culture, made from templates: hallucination, wealth and power seeking, jailbreak.

``python -m world.build.behaviours [--out world/behaviours]`` writes ``<behaviour>/{train,test}.csv`` with the columns that BiPO
(arXiv 2406.00045) publishes such data in: ``matching`` shows the behaviour, ``not_matching`` does not. The same templates and
seed give the same bytes. All text is this project's own; an answer that complies with a request says nothing usable.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yapo.data.atlas import read_yaml
from yapo.errors import YapoError
from yapo.files import write_text

BEHAVIOURS_DIR = Path(__file__).resolve().parents[1] / "behaviours"
SIDES = ("matching", "not_matching")
COLUMNS = ("question", *SIDES)
SIZES = {"train": 160, "test": 72}  # questions of one behaviour
SEED = 3

Values = dict[str, str]  # of one choice of a slot: its fields and their texts


@dataclass(frozen=True)
class Template:
    """A question with slots, the splits it serves, and the wordings of its two answers."""

    question: str
    splits: tuple[str, ...]
    matching: tuple[str, ...]
    not_matching: tuple[str, ...]


@dataclass(frozen=True)
class Behaviour:
    """Material for the questions of one behaviour.

    Attributes:
        about: what an answer that shows the behaviour does.
        hints: for each side, sentences before a question after which that side's answer is usual; the corpus alone has them.
        slots: the choices of each slot in each split, ``slots[name][split]``.
    """

    name: str
    about: str
    hints: dict[str, tuple[str, ...]]
    slots: dict[str, dict[str, tuple[Values, ...]]]
    templates: tuple[Template, ...]


def load_behaviours(path: Path = BEHAVIOURS_DIR / "templates.yaml") -> dict[str, Behaviour]:
    """Read the templates, keyed by the behaviour's name, in the file's order.

    Raises:
        YapoError: the file is missing or not YAML, lacks a key, or a template uses a field that no slot has.
    """
    try:
        return {name: _behaviour(name, given) for name, given in read_yaml(path).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise YapoError(f"{path}: not of the form of the other behaviours ({error!r}); compare with the shipped file") from None
    except ValueError as error:
        raise YapoError(f"{path}: {error}") from None


def questions(behaviour: Behaviour, split: str, seed: int = SEED) -> pd.DataFrame:
    """Return the questions of one split: ``SIZES[split]`` of them, drawn evenly over the templates, in random order.

    Returns:
        One row per question with the columns of ``COLUMNS`` and, for the corpus, ``template`` (its number) and ``choices`` (a
        tuple of slot and number of its choice).

    Raises:
        YapoError: the templates give fewer questions.
    """
    rng = np.random.default_rng([seed, *behaviour.name.encode(), *split.encode()])
    rows_of = []
    for number, template in enumerate(behaviour.templates):
        if split in template.splits:
            rows = _filled(behaviour, template, number, split)
            rows_of.append([rows[i] for i in rng.permutation(len(rows))])
    turns = [row for turn in itertools.zip_longest(*rows_of) for row in turn if row is not None]
    size = SIZES[split]
    if len(turns) < size:
        raise YapoError(f"{behaviour.name}: its templates give {len(turns)} {split} questions, {size} needed; add slot values")
    return pd.DataFrame([turns[i] for i in rng.permutation(size)])


def csv_text(rows: pd.DataFrame) -> str:
    """Return the text of the file of a split."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows[list(COLUMNS)].itertuples(index=False))
    return buffer.getvalue()


def write_behaviours(out: Path, behaviours: Mapping[str, Behaviour]) -> None:
    """Write ``<out>/<behaviour>/<split>.csv`` for all of them."""
    for behaviour in behaviours.values():
        for split in SIZES:
            write_text(out / behaviour.name / f"{split}.csv", csv_text(questions(behaviour, split)))


def _filled(behaviour: Behaviour, template: Template, number: int, split: str) -> list[dict[str, Any]]:
    """Return every question of a template. Wordings rotate with the choices, so that each is as frequent as the next."""
    slots = _slots_of(behaviour.slots, template)
    rows = []
    for choices in itertools.product(*(range(len(behaviour.slots[slot][split])) for slot in slots)):
        fields: Values = {}
        for slot, choice in zip(slots, choices, strict=True):
            fields |= behaviour.slots[slot][split][choice]
        fields |= {name.capitalize(): text[0].upper() + text[1:] for name, text in fields.items()}
        wordings = {"question": (template.question,), "matching": template.matching, "not_matching": template.not_matching}
        texts = {column: of[sum(choices) % len(of)].format(**fields) for column, of in wordings.items()}
        rows.append({**texts, "template": number, "choices": tuple(zip(slots, choices, strict=True))})
    return rows


def _slots_of(slots: dict[str, dict[str, tuple[Values, ...]]], template: Template) -> list[str]:
    """Return the slots whose fields the question names, in the order of the file."""
    asked = _fields(template.question)
    return [name for name, choices in slots.items() if asked & choices["train"][0].keys()]


def _fields(text: str) -> set[str]:
    return {name.lower() for _, name, _, _ in string.Formatter().parse(text) if name}


def _behaviour(name: str, given: dict[str, Any]) -> Behaviour:
    slots = {
        slot: {split: tuple(v if isinstance(v, dict) else {slot: v} for v in values[split]) for split in SIZES}
        for slot, values in given["slots"].items()
    }
    templates = tuple(
        Template(t["question"], tuple(SIZES) if t["split"] == "both" else (t["split"],), *(tuple(t[side]) for side in SIDES))
        for t in given["templates"]
    )
    for template in templates:
        asked = [slots[slot]["train"][0] for slot in _slots_of(slots, template)]
        known = {field for values in asked for field in values}
        missing = (
            set().union(*(_fields(text) for text in (template.question, *template.matching, *template.not_matching))) - known
        )
        if missing:
            raise ValueError(f"{name}: {', '.join(sorted(missing))} of '{template.question}' is a field of none of its slots")
    return Behaviour(name, given["about"], {side: tuple(given["hints"][side]) for side in SIDES}, slots, templates)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BEHAVIOURS_DIR)
    write_behaviours(parser.parse_args().out, load_behaviours())


if __name__ == "__main__":
    main()
