"""Stage ``gap``: one country's training and validation questions, in both forms, asked of the unsteered model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.config.evaluation import McqWay
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.evaluation.scoring import Answerer
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer

READS = ("prompts", "model", "generation", "judge", "tasks")
COLUMNS = ["language", "country", "task", "way", "variant", "question_id", "phrasing", "score", "parsed", "chance"]


def main(config: Config) -> None:
    """Write ``studies/gap.parquet`` for ``country``: one row per task, way to answer and question.

    Columns beside the usual ones:
        way: how multiple choice was answered; empty for open-ended questions.
        chance: score of a guess, 1 / number of options; missing for open-ended questions.
    """
    paths, items = Paths.of(config), read_items(config, config.country)
    items, language_folder = items[items["split"] != "test"].reset_index(drop=True), language_folder_of(items)
    lm, judge = load_language_model(config.model), get_judge(config.judge)
    path = paths.study_rows("gap", language_folder, config.country)
    frames = []
    with CompletionCache(path.with_suffix(".json"), lm, read_layer(config), config.model.batch_size) as cache:
        for task in config.tasks:
            ways: Sequence[McqWay | None] = config.generation.mcq if task == "mcq" else [None]
            for way in ways:
                generation = config.generation if way is None else replace(config.generation, mcq=[way])
                answerer = Answerer(prompt_format(config), generation, cache, judge)
                (answers,) = answerer.ask(items, task, [Condition()])
                named = "" if way is None else generation.label(way)
                chance = float("nan") if way is None else 1 / answers["options"].map(len)
                frames.append(answers.assign(task=task, way=named, chance=chance)[COLUMNS])
    write_parquet(path, pd.concat(frames, ignore_index=True))


if __name__ == "__main__":
    run(main)
