"""Questions, answered unsteered, under a vector and under a random control: multiple choice, and free answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Literal

import pandas as pd

from yapo.api.scores import CONDITIONS, ConditionName, Measure, Scored
from yapo.checks import Task
from yapo.config.evaluation import LikelihoodConfig, McqWay
from yapo.data.prompts import PromptFormat
from yapo.data.text import text_key
from yapo.evaluation.decoding import Condition, Decoder
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.exact import exact, parse_choice
from yapo.evaluation.options import OptionAnswers
from yapo.models.language_model import LanguageModel

if TYPE_CHECKING:
    from yapo.evaluation.judges import Judge

BATCH = 16  # prompts of one forward pass
PROMPTS = PromptFormat()


@dataclass(frozen=True)
class Answering:
    """How questions are answered and scored; see ``yapo.evaluate``."""

    mcq: McqWay
    weighing: LikelihoodConfig
    judge: Judge | None
    max_new_tokens: int


def score_items(
    lm: LanguageModel,
    items: pd.DataFrame,
    kind: Literal["choice", "free"],
    how: Answering,
    layer: int,
    steered: Condition,
    seed: int,
) -> Scored:
    """Answer questions and score the answers.

    Args:
        lm: the model.
        items: as ``yapo.api.items.read_items`` returns them.
        kind: multiple choice, or free answers.
        how: see ``Answering``.
        layer: 0-based block whose output is edited.
        steered: the vector.
        seed: of the random direction.
    """
    by_likelihood = kind == "choice" and how.mcq == "likelihood"
    task: Task = "open_ended" if kind == "free" else how.weighing.form if by_likelihood else "mcq"
    prompts = [lm.tokenizer.prompt(text) for text in PROMPTS.prompts(task, items)]
    residual = Residual.of(lm, layer, prompts[:CONTROL_PROMPTS])
    moved = residual.displacement(steered)
    conditions = [Condition(), steered, random_control([moved], lm.d_model, seed)]
    if by_likelihood:
        options = OptionAnswers.of(items, PROMPTS, lm.tokenizer, how.weighing)
        written = options.choose(lm, layer, conditions, BATCH)
    else:
        ids = Decoder(lm, BATCH).complete(layer, prompts, conditions, how.max_new_tokens)
        written = [[lm.tokenizer.decode(one) for one in answers] for answers in ids]
    measure: Measure = "choice" if kind == "choice" else "containment" if how.judge is None else "judge"
    scores, unread = dict[ConditionName, list[float]](), dict[ConditionName, int]()
    for name, answers in zip(CONDITIONS, written, strict=True):
        scores[name], unread[name] = _scores(items, answers, measure, how.judge)
    return Scored(measure, scores, unread, list(items["question_id"]), moved / residual.mean_norm)


def _scores(items: pd.DataFrame, answers: Sequence[str], measure: Measure, judge: Judge | None) -> tuple[list[float], int]:
    """Return a score for each answer, and how many answers could not be read or graded."""
    if measure == "choice":
        chosen = [parse_choice(text, len(options)) for text, options in zip(answers, items["options"], strict=True)]
        return [float(right) for right in exact(items, answers, "mcq")], chosen.count(None)
    if judge is None:
        pairs = zip(answers, items["answer"], strict=True)
        return [float(text_key(gold) in text_key(text)) for text, gold in pairs], 0
    from yapo.evaluation.scoring import judge_requests

    grades = [judgement.score for judgement in judge.judge(judge_requests(items, answers))]
    return [nan if grade is None else float(grade) for grade in grades], grades.count(None)
