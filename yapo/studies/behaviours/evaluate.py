"""Stage ``behaviour_evaluate``: choose epoch and strength of each vector of a behaviour, and test it at both signs."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.behaviours import LANGUAGE
from yapo.data.schema import read_table
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.judges import get_judge
from yapo.evaluation.judges.behaviour import behaviour_rubric
from yapo.files import write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.stages.app import run
from yapo.stages.inputs import read_layer
from yapo.stages.study import Study
from yapo.stages.vectors import candidates_of, trained_vectors
from yapo.studies.behaviours.evaluator import BehaviourEvaluator

READS = ("data.seed", "model", "sae", "discovery.layer", "generation", "judge", "methods", "studies.behaviours")

TASK = "open_ended"
COLUMNS = [
    "behaviour", "method", "direction", "multiplier", "epoch", "question_id", "score", "parsed", "refused",
    "completion", "prompt", "chosen", "rejected",
]  # fmt: skip


def main(config: Config) -> None:
    """Writes ``validation.parquet``, ``evaluation.parquet`` and ``vectors/`` of the behaviour that ``country`` names."""
    study, layer, behaviour = Study.of(config), read_layer(config), config.country
    judge = get_judge(config.judge, behaviour_rubric(behaviour))
    folder = study.country(LANGUAGE, behaviour)
    learned, test = read_table(study.pairs(LANGUAGE, behaviour, TASK)), read_table(folder / "pairs" / "test.parquet")
    lm = load_language_model(config.model)
    trained = trained_vectors(config, study, LANGUAGE)
    candidates = candidates_of(config, trained, lm, layer)
    cache = CompletionCache(folder / "completions.json", lm, layer, config.model.batch_size)
    pairs = pd.concat([learned, test], ignore_index=True)
    evaluator = BehaviourEvaluator(lm, pairs, judge, cache, config.generation.max_new_tokens(TASK))
    with cache:
        chosen, grid = evaluator.select(candidates, config.studies.behaviours.multipliers)
        asked = pairs.loc[pairs["split"] == "validation", "prompt"].drop_duplicates().head(CONTROL_PROMPTS)
        residual = Residual.of(lm, layer, [lm.tokenizer.prompt(text) for text in asked])
        moved = [residual.displacement(candidates[key].condition(trial)) for key, trial in chosen.items()]
        control = random_control(moved, lm.d_model, config.data.seed)
        tested = evaluator.test(candidates, chosen, (control, control.scaled(-1.0)))
    for key, trial in chosen.items():
        trained[key].chosen(trial.epoch, trial.multiplier).save(study.vector(LANGUAGE, behaviour, *key))
    write_parquet(study.validation(LANGUAGE, behaviour), grid.assign(behaviour=behaviour))
    write_parquet(study.evaluation(LANGUAGE, behaviour), tested.assign(behaviour=behaviour)[COLUMNS])
    write_json(study.judged(LANGUAGE, behaviour), judge.report())


if __name__ == "__main__":
    run(main)
