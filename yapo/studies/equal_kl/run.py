"""Stage ``equal_kl``: one country's test questions under every method at a multiplier of equal divergence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.data.schema import read_table
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Evaluator
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.divergence import Match, match_divergence
from yapo.evaluation.judges import get_judge
from yapo.evaluation.own_answers import OwnAnswers
from yapo.evaluation.selection import given_up
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer
from yapo.stages.vectors import VectorReader

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
    paths, layer = Paths.of(config), read_layer(config)
    items = read_items(config, config.country)
    language_folder = language_folder_of(items)
    lm, judge = load_language_model(config.model), get_judge(config.judge)
    reader, path = VectorReader(config, lm, layer), paths.study_rows(NAME, language_folder, config.country)
    cache = CompletionCache(path.with_suffix(".completions.json"), lm, layer, config.model.batch_size)
    evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache)
    answered = read_table(paths.evaluation(language_folder, config.country)).assign(level=CHOSEN)
    multipliers, frames = list[dict[str, object]](), [answered[COLUMNS]]
    with cache:
        for task in config.tasks:
            for setting in config.settings:
                vectors = {name: reader.read(language_folder, config.country, name, task, setting) for name in config.methods}
                own = [Steered(name, vector.at(1.0), vector.multiplier) for name, vector in vectors.items()]
                questions = items[items["split"] == "validation"]
                questions = questions if setting == "both" else questions[questions["variant"] == setting]
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
    named = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(path, pd.concat(frames, ignore_index=True).assign(**named)[COLUMNS])
    rows = pd.DataFrame(multipliers).astype({"multiplier": "float64"}).assign(**named)
    if config.selection.max_kl is not None:
        grid = read_table(paths.validation(language_folder, config.country))
        rows = rows.merge(given_up(grid).assign(level=CHOSEN), how="left")
    write_parquet(paths.study_rows(f"{NAME}_multipliers", language_folder, config.country), rows)


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
