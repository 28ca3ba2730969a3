"""Stage ``dspa_chat``: judged conversations under every method's chosen vector of one country, and unsteered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from yapo.config import Config
from yapo.data.questions import load_questions
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges.chat import get_comparer, get_grader
from yapo.files import write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_of, read_items, read_layer
from yapo.stages.vectors import VectorReader, check_vectors
from yapo.studies.dspa_study.conversations import compare_answers, converse, grade_turns

READS = (
    "model",
    "sae",
    "judge",
    "methods",
    "generation.max_new_tokens_open_ended",
    "studies.dspa_study.setting",
    "studies.dspa_study.chat_task",
    "studies.dspa_study.conversations",
    "studies.dspa_study.instructions",
    "studies.dspa_study.max_new_tokens",
)

NAME = "dspa_chat"


def main(config: Config) -> None:
    """Write ``studies/dspa_chat.parquet`` and ``studies/dspa_chat.json`` for ``country``.

    One row per method, question and turn. ``kind`` is "grade" for the conversations, whose ``score`` is the grade of a turn, and
    "pair" for the instructions, whose ``score`` is what an answer wins against the unsteered one; columns: ``grade_turns``
    and ``compare_answers`` of ``yapo.studies.dspa_study.conversations``. The JSON file
    counts the requests to each judge and their cost.
    """
    wanted, layer = config.studies.dspa_study, read_layer(config)
    check_vectors(config, "studies.dspa_study.setting", setting=wanted.setting)
    check_vectors(config, task=wanted.chat_task)
    conversations = load_questions(Path(wanted.conversations), "studies.dspa_study.conversations")
    instructions = load_questions(Path(wanted.instructions), "studies.dspa_study.instructions")
    items = read_items(config, config.country)
    language = language_of(items)
    lm = load_language_model(config.model)
    reader = VectorReader(config, lm, layer)
    vectors = {m: reader.read(language, config.country, m, wanted.chat_task, wanted.setting) for m in config.methods}
    conditions = [Condition(), *(vector.chosen for vector in vectors.values())]
    limit = wanted.max_new_tokens or config.generation.max_new_tokens("open_ended")
    path = Paths.of(config).of_study(NAME, language, config.country)
    with CompletionCache(path.with_suffix(".completions.json"), lm, layer, config.model.batch_size) as cache:
        talks, answers = (
            converse(cache, questions, conditions, limit, config.model.max_prompt_tokens)
            for questions in (conversations, instructions)
        )
    about = [("baseline", 0.0), *((method, vector.multiplier) for method, vector in vectors.items())]
    grader = get_grader(config.judge)
    grades = grade_turns(_stacked(talks, about), grader).assign(kind="grade")
    reports = {"grades": grader.report()}
    del grader  # a local judge makes room for the next
    comparer = get_comparer(config.judge)
    base, *steered = answers
    pairs = compare_answers(_stacked(steered, about[1:]), pd.concat([base] * len(steered)), comparer).assign(kind="pair")
    reports["pairs"] = comparer.report()
    place = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(
        path, pd.concat([grades, pairs], ignore_index=True).assign(**place, task=wanted.chat_task, setting=wanted.setting)
    )
    write_json(path.with_suffix(".json"), reports)


def _stacked(frames: Sequence[pd.DataFrame], about: Sequence[tuple[str, float]]) -> pd.DataFrame:
    """Return one frame of all methods: a judge behind a network works on many answers together."""
    named = [frame.assign(method=method, multiplier=m) for (method, m), frame in zip(about, frames, strict=True)]
    return pd.concat(named, ignore_index=True)


if __name__ == "__main__":
    run(main)
