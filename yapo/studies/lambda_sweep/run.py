"""Stage ``lambda_sweep``: every method's chosen vectors of one country at all multipliers of one grid, on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from yapo.checks import Setting, Task
from yapo.config import VARIANTS, Config
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.judges import get_judge
from yapo.evaluation.scoring import Answerer
from yapo.files import write_parquet
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.stages.vectors import ChosenVector, check_vectors
from yapo.studies.country_job import CountryJob
from yapo.studies.lambda_sweep.coherence import coherence

READS = (
    "data.seed",
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "tasks",
    "methods",
    "studies.lambda_sweep.settings",
    "studies.lambda_sweep.multipliers",
)

NAME = "lambda_sweep"
COLUMNS = [
    "language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "multiplier", "epoch",
    "displacement", "score", "parsed", "exact", "log_prob", "repeated", "gold_log_prob",
]  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One vector at one λ; ``setting`` says what the vector was trained on."""

    method: str
    setting: Setting
    epoch: int = 0
    multiplier: float = 0.0
    condition: Condition = field(default_factory=Condition)


def main(config: Config) -> None:
    """Write ``studies/lambda_sweep.parquet`` for ``country``: one row per validation item and point of the grid.

    Columns beside the usual ones:
        setting: what the vector was trained on. λ = 0 is the method "baseline", once for each setting.
        displacement: mean change of the residual stream of this variant's prompts, in its own units.
        log_prob, repeated: coherence of the completion, see ``coherence``; ``gold_log_prob`` of the right answer.
    """
    for setting in config.studies.lambda_sweep.settings:
        check_vectors(config, "studies.lambda_sweep.settings", setting=setting)
    job = CountryJob.open(config)
    cache = job.cache(NAME)
    answerer = Answerer(prompt_format(config), config.generation, cache, get_judge(config.judge))
    frames = []
    with cache:
        for task in config.tasks:
            sides = [job.questions("validation", variant) for variant in VARIANTS]
            prompts = [answerer.token_ids(side, task)[:CONTROL_PROMPTS] for side in sides]
            residuals = [Residual.of(job.lm, job.layer, of_side) for of_side in prompts]
            points = []
            for setting in config.studies.lambda_sweep.settings:
                points += _points(config, setting, job.vectors(task, setting), residuals)
            for side, residual in zip(sides, residuals, strict=True):
                frames += [rows.assign(task=task) for rows in _answers(answerer, side, task, points, residual)]
    write_parquet(job.rows(NAME), pd.concat(frames, ignore_index=True)[COLUMNS])


def _points(config: Config, setting: Setting, vectors: dict[str, ChosenVector], residuals: Sequence[Residual]) -> list[Point]:
    """Return the grid of every method, and of a random direction that at λ = 1 moves as far as the strongest of them."""
    grid = [multiplier for multiplier in config.studies.lambda_sweep.multipliers if multiplier != 0]
    points = [Point("baseline", setting)]
    for method, vector in vectors.items():
        points += [Point(method, setting, vector.epoch, multiplier, vector.at(multiplier)) for multiplier in grid]
    moved = [sum(r.displacement(vector.at(1.0)) for r in residuals) / len(residuals) for vector in vectors.values()]
    control = random_control(moved, residuals[0].hidden.shape[-1], config.data.seed)
    return points + [Point("random", setting, 0, multiplier, control.scaled(multiplier)) for multiplier in grid]


def _answers(
    answerer: Answerer, items: pd.DataFrame, task: Task, points: Sequence[Point], residual: Residual
) -> list[pd.DataFrame]:
    """Return one frame per point: the items with score, coherence and displacement."""
    answered = answerer.ask(items, task, [point.condition for point in points])
    prompts = answerer.token_ids(items, task)
    right = [answerer.prompts.answer(task, o, i) for o, i in zip(items["options"], items["answer_index"], strict=True)]
    texts = [right, *(frame["completion"].tolist() for frame in answered)]
    lm, batch_size = answerer.cache.lm, answerer.cache.decoder.rows
    measured = coherence(lm, prompts * len(texts), [text for part in texts for text in part], batch_size)
    gold, *parts = (measured.iloc[i * len(items) : (i + 1) * len(items)].reset_index(drop=True) for i in range(len(texts)))
    return [
        pd.concat([frame, part], axis=1).assign(
            setting=point.setting,
            method=point.method,
            multiplier=point.multiplier,
            epoch=point.epoch,
            displacement=residual.displacement(point.condition),
            gold_log_prob=gold["log_prob"],
        )
        for point, frame, part in zip(points, answered, parts, strict=True)
    ]


if __name__ == "__main__":
    run(main)
