"""Stage ``equal_kl``: one country's test questions under every method at a multiplier of equal divergence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.data.schema import read_table
from yapo.evaluation.country import Evaluator
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.divergence import Match, match_divergence
from yapo.evaluation.judges import get_judge
from yapo.evaluation.own_answers import OwnAnswers
from yapo.evaluation.selection import given_up
from yapo.files import write_parquet
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.studies.country_job import CountryJob

READS = (
    "data.seed",
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "tasks",
    "settings",
    "methods",
    "selection.max_kl",
    "studies.equal_kl.levels",
)

log = logging.getLogger(__name__)
NAME = "equal_kl"
CHOSEN = 0.0  # the level of rows at the multiplier that validation chose
COLUMNS = [
    "language", "country", "task", "setting", "method", "level", "variant", "question_id", "phrasing", "multiplier",
    "score", "parsed",
]  # fmt: skip


@dataclass(frozen=True)
class Steered:
    """A method's vector, or the random direction: steering at λ = 1, and the λ that the tables have it at."""

    method: str
    one: Condition
    chosen: float


@dataclass(frozen=True)
class Place:
    """One task and setting, with its vectors and the texts that they are measured on."""

    task: Task
    setting: Setting
    vectors: Sequence[Steered]
    texts: OwnAnswers


def main(config: Config) -> None:
    """Write, for ``country``, two files under ``studies``.

    ``equal_kl.parquet``: test rows of every condition, as ``evaluation.parquet`` has them, with a column ``level``: 0 for the
    rows of that file, whose λ validation chose, and the level for those at equal divergence. A vector that reaches a level at no
    λ has no rows there.

    ``equal_kl_multipliers.parquet``: one row per vector and level, 0 among them: ``multiplier`` (missing where none reaches it;
    of the random direction in units of the residual stream's norm), ``divergence`` there and ``monotone``. Where
    ``selection.max_kl`` bounds the choice, ``given_up``: what that costs in validation score.
    """
    paths, job, judge = Paths.of(config), CountryJob.open(config), get_judge(config.judge)
    cache = job.cache(NAME)
    evaluator = Evaluator(job.lm, job.layer, job.items, prompt_format(config), config.generation, judge, cache)
    answered = read_table(paths.evaluation(job.language_folder, config.country)).assign(level=CHOSEN)
    multipliers, frames = list[dict[str, object]](), [answered[COLUMNS]]
    with cache:
        for task in config.tasks:
            for setting in config.settings:
                vectors, questions = job.vectors(task, setting), job.questions("validation", setting)
                own = [Steered(name, vector.at(1.0), vector.multiplier) for name, vector in vectors.items()]
                control = _random(evaluator, questions, task, own, config.data.seed)
                place = Place(task, setting, [*own, control], OwnAnswers.of(evaluator.answerer, questions, task))
                for level in (CHOSEN, *config.studies.equal_kl.levels):
                    matches = _matches(place, level)
                    for vector, match in zip(place.vectors, matches, strict=True):
                        row = {"task": task, "setting": setting, "method": vector.method, "level": level}
                        multipliers.append({**row, **vars(match)})
                        log.info("%s %s %s at %g nats: %s", task, setting, vector.method, level, match)
                    if level != CHOSEN:
                        frames += _tested(evaluator, place, level, matches)
    write_parquet(job.rows(NAME), pd.concat(frames, ignore_index=True).assign(**job.labels)[COLUMNS])
    rows = pd.DataFrame(multipliers).astype({"multiplier": "float64"}).assign(**job.labels)
    if config.selection.max_kl is not None:
        grid = read_table(paths.validation(job.language_folder, config.country))
        rows = rows.merge(given_up(grid).assign(level=CHOSEN), how="left")
    write_parquet(job.rows(f"{NAME}_multipliers"), rows)


def _random(evaluator: Evaluator, questions: pd.DataFrame, task: Task, own: Sequence[Steered], seed: int) -> Steered:
    """Return the random direction of the tables, at λ = 1 as long as the residual stream."""
    prompts = evaluator.answerer.token_ids(questions.head(CONTROL_PROMPTS), task)
    residual = Residual.of(evaluator.lm, evaluator.layer, prompts)
    moved = max(residual.displacement(vector.one.scaled(vector.chosen)) for vector in own)
    control = random_control([residual.mean_norm], evaluator.lm.d_model, seed)
    return Steered("random", control, moved / residual.mean_norm)


def _matches(place: Place, level: float) -> list[Match]:
    """Return the λ of each vector at a level, or the divergence at the λ that the tables have it at."""

    def measure(points: Sequence[tuple[int, float]]) -> list[float]:
        return place.texts.divergences([place.vectors[i].one.scaled(multiplier) for i, multiplier in points])

    if level != CHOSEN:
        return match_divergence(level, len(place.vectors), measure)
    chosen = [vector.chosen for vector in place.vectors]
    return [Match(one, value, True) for one, value in zip(chosen, measure(list(enumerate(chosen))), strict=True)]


def _tested(evaluator: Evaluator, place: Place, level: float, matches: Sequence[Match]) -> list[pd.DataFrame]:
    """Answer the test questions under every vector that reaches the level."""
    reached = [(v.method, v.one, m.multiplier) for v, m in zip(place.vectors, matches, strict=True) if m.multiplier is not None]
    scored = evaluator.tested([(place.task, place.setting, one.scaled(multiplier)) for _, one, multiplier in reached])
    labels = {"task": place.task, "setting": place.setting, "level": level}
    return [
        frame.assign(method=method, multiplier=multiplier, **labels)
        for frame, (method, _, multiplier) in zip(scored, reached, strict=True)
    ]


if __name__ == "__main__":
    run(main)
