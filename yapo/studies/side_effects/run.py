"""Stage ``side_effects``: what one country's vectors do to answers and texts that they are not for, beside what they gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.config.controls import OTHER_LANGUAGES
from yapo.data.schema import read_table
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.completer import Completer
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import parse_choice
from yapo.evaluation.likelihood import answer_log_probs
from yapo.evaluation.refusal import refuses
from yapo.files import write_parquet
from yapo.paths import Paths
from yapo.reporting.cells import TOP, UNIT
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.steering.pair_batch import TokenOptions
from yapo.studies.country_job import CountryJob

READS = (
    "data.seed", "prompts", "model", "sae", "generation", "tasks", "methods", "knowledge.vector_task", "knowledge.vector_setting",
)  # fmt: skip
NAME = "side_effects"
COLUMNS = ["language", "country", "method", "measure", "question_id", "score", "guess"]
GAIN, ORDER, INSTRUCTIONS, ANSWERED, TEXT = "gain", "order", "instructions", "answered", "text"
TEXTS = Path(__file__).with_name("plain_texts.txt")
HARMLESS = Path(__file__).with_name("harmless_questions.txt")
OTHER_WAYS = Path(__file__).with_name("instructions.yaml")
LEAST = -100.0  # nats a token; what a broken model gives to a text, which may be no number

Scores = dict[str, tuple[Sequence[str], Sequence[Sequence[float]]]]
"""By measure: the questions, and the score of each under each condition, ``[condition][question]``."""


def main(config: Config) -> None:
    """Write ``studies/side_effects.parquet`` for ``country``: one row per measure, condition and question; more is better.

    Columns:
        measure: ``gain``, the score on the test questions that the vector is for, 0 to 1; ``order`` and ``instructions``, see
            ``agreements``; ``answered``, whether a harmless question is not refused; ``text``, the mean log-probability of a
            token of a plain text, in nats.
        guess: score of a model that knows nothing of it.
    """
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    job = CountryJob.open(config)
    cache = job.cache(NAME)
    completer = Completer(prompt_format(config), config.generation, cache)
    vectors = [vector.chosen for vector in job.vectors(task, setting).values()]
    control = job.control(completer.token_ids(job.questions("validation", setting), task), vectors)
    conditions, found = [Condition(), control, *vectors], Scores()
    with cache:
        if "mcq" in config.tasks:
            found |= agreements(completer, job.items, conditions)
        found |= answered(cache, conditions, config.generation.max_new_tokens_open_ended)
    found |= text_log_probs(cache, conditions)
    guesses = {TEXT: -np.log(len(job.lm.model.lm_head.weight))}
    methods = ["baseline", "random", *config.methods]
    frames = [
        pd.DataFrame({"method": method, "measure": name, "question_id": ids, "score": values, "guess": guesses.get(name, 0.0)})
        for name, (ids, scores) in found.items()
        for method, values in zip(methods, scores, strict=True)
    ]
    tested = read_table(Paths.of(config).evaluation(job.language_folder, config.country))
    frames.append(gain_rows(tested, task, setting, methods))
    write_parquet(job.rows(NAME), pd.concat(frames, ignore_index=True).assign(**job.labels)[COLUMNS])


def agreements(completer: Completer, items: pd.DataFrame, conditions: Sequence[Condition]) -> Scores:
    """Ask the test questions, each in one wording, again in other ways that should not matter; 1 where the choice is the same.

    ``order``: with the options in reverse order. ``instructions``: in the ways of ``instructions.yaml``, of which the score is
    the mean. A choice that cannot be read is the same as none.

    Args:
        completer: of the country's items.
        items: one country's items with a column ``split``; the form that names the country is asked where there is one.
        conditions: ways to steer.
    """
    tested = items[items["split"] == "test"].sort_values(["variant", "question_id", "phrasing"])
    asked = tested.drop_duplicates("question_id").reset_index(drop=True)
    ways = yaml.safe_load(OTHER_WAYS.read_text(encoding="utf-8"))
    own = ways.get(asked["language"].iloc[0], ways[OTHER_LANGUAGES])

    def same(other: Completer, questions: pd.DataFrame) -> list[list[float]]:
        return [
            [float(one is not None and one == two) for one, two in zip(*pair, strict=True)]
            for pair in zip(plain, _choices(other, questions, conditions), strict=True)
        ]

    plain = _choices(completer, asked, conditions)
    turned = same(completer, asked.assign(options=asked["options"].map(lambda options: list(options)[::-1])))
    prompts = completer.prompts
    said = [replace(prompts, mcq=way.replace("{prompt}", prompts.mcq)) for way in own]
    told = np.array([same(replace(completer, prompts=other), asked) for other in said]).mean(axis=0)
    return {ORDER: (list(asked["question_id"]), turned), INSTRUCTIONS: (list(asked["question_id"]), told.tolist())}


def _choices(completer: Completer, questions: pd.DataFrame, conditions: Sequence[Condition]) -> list[list[str | None]]:
    """Return the option that is chosen of each question, ``[condition][question]``; None where none can be read."""
    return [
        [
            None if (choice := parse_choice(text, len(options))) is None else options[choice]
            for text, options in zip(texts, questions["options"], strict=True)
        ]
        for texts in completer.complete(questions, "mcq", conditions)
    ]


def answered(cache: CompletionCache, conditions: Sequence[Condition], max_new_tokens: int) -> Scores:
    """Ask harmless questions whose words may look harmful; 1 where the answer does not open like a refusal."""
    questions = HARMLESS.read_text(encoding="utf-8").splitlines()
    written = cache.complete([cache.lm.tokenizer.prompt(text) for text in questions], conditions, max_new_tokens)
    ids = [f"harmless/{place}" for place in range(len(questions))]
    return {ANSWERED: (ids, [[float(not refuses(text)) for text in texts] for texts in written])}


def text_log_probs(cache: CompletionCache, conditions: Sequence[Condition]) -> Scores:
    """Read plain texts without a chat template; the mean log-probability of a token of each, all but its first one steered."""
    ids = [cache.lm.tokenizer.text(line) for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    texts = [TokenOptions(tokens[:1], (tokens[1:],)) for tokens in ids]
    found = answer_log_probs(cache.lm, cache.layer, texts, conditions, cache.batch_size)
    scores = [
        [
            max(LEAST, float(np.nan_to_num(value, nan=LEAST)) / len(text.answers[0]))
            for (value,), text in zip(values, texts, strict=True)
        ]
        for values in found
    ]
    return {TEXT: ([f"text/{place}" for place in range(len(texts))], scores)}


def gain_rows(tested: pd.DataFrame, task: Task, setting: Setting, methods: Sequence[str]) -> pd.DataFrame:
    """Return the test answers that vectors are for, with scores from 0 to 1."""
    own = tested[(tested["task"] == task) & (tested["setting"] == setting) & tested["method"].isin(methods)]
    scores = own["score"] * UNIT[task] / TOP[task]
    return pd.DataFrame(
        {"method": own["method"], "measure": GAIN, "question_id": own["question_id"], "score": scores, "guess": 0.0}
    )


if __name__ == "__main__":
    run(main)
