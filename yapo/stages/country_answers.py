"""Answers to the test items of a country, by every way to answer multiple choice, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.selection import Key, Trial
from yapo.files import write_json, write_parquet
from yapo.paths import Paths

COLUMNS = [
    "language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "multiplier", "epoch",
    "score", "parsed", "exact", "completion", "answer", "question",
]  # fmt: skip


def answer_test_items(
    config: Config, evaluator: Evaluator, candidates: dict[Key, Candidate], chosen: dict[Key, Trial]
) -> dict[str, pd.DataFrame]:
    """Return the test rows by way to answer multiple choice; those of the first way, and open-ended ones, under ``""``.

    Each further way answers the same questions under what was chosen for the first one.
    """
    asked = [(task, setting) for task in config.tasks for setting in config.settings]
    found = {"": evaluator.test(candidates, chosen, asked, seed=config.data.seed)}
    for way in config.other_ways:
        other = replace(evaluator, generation=replace(config.generation, mcq=[way]))
        choices = [(task, setting) for task, setting in asked if task == "mcq"]
        found[way] = other.test(candidates, chosen, choices, seed=config.data.seed)
    return found


def write_test_answers(config: Config, language_folder: str, evaluator: Evaluator, tested: Mapping[str, pd.DataFrame]) -> None:
    """Write ``evaluation.parquet``, one such file for every further way, and ``judge.json``."""
    paths = Paths.of(config)
    for way, frame in tested.items():
        write_parquet(paths.evaluation(language_folder, config.country, way), frame[COLUMNS])
    write_json(paths.judged(language_folder, config.country), evaluator.judge.report())
