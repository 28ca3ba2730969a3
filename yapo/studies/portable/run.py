"""Stage ``portable``: the chosen vectors of one country as small files that need no autoencoder."""

from __future__ import annotations

import logging
from dataclasses import replace

import pandas as pd
from torch import Tensor

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Evaluator, score_summary
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.files import write_parquet
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_sae
from yapo.stages.pairs import read_prepared
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.portable import carry, pruned, stand_in
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import SteeringVector
from yapo.studies.country_job import CountryJob

READS = ("prompts", "model", "sae", "generation", "judge", "tasks", "settings", "methods", "portable")

log = logging.getLogger(__name__)
STAND_IN_PAIRS = 64  # training pairs whose tokens the dense stand-in averages over
WHOLE, DENSE = "whole", "dense"
RANGE: dict[Task, float] = {"mcq": 1.0, "open_ended": 10.0}  # of a validation score


def main(config: Config) -> None:
    """Write ``portable/<method>/<task>-<setting>.safetensors`` for ``country``, and the validation scores of each form."""
    paths, job = Paths.of(config), CountryJob.open(config)
    layer, lm, language_folder = job.layer, job.lm, job.language_folder
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    cache = CompletionCache(
        paths.country(language_folder, config.country) / "portable" / "completions.json", lm, layer, config.model.batch_size
    )
    evaluator = Evaluator(lm, layer, job.items, prompt_format(config), config.generation, get_judge(config.judge), cache)
    with cache:
        rows = _every_vector(config, paths, evaluator, sae, language_folder)
    scores = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["form", "features", "score"])
    write_parquet(paths.portable_scores(language_folder, config.country), scores.assign(**job.labels))


def _every_vector(config: Config, paths: Paths, evaluator: Evaluator, sae: SAE, language_folder: str) -> list[pd.DataFrame]:
    """Write the portable form of every chosen vector; the validation items of each form of the sparse ones."""
    rows = []
    for task in config.tasks:
        pairs = read_prepared(paths, language_folder, config.country, task)
        store, sets = pairs.store, {part.name: part for part in train_sets(pairs.rows, config.settings)}
        for method in config.methods:
            for setting in config.settings:
                place = (method, task, setting)
                vector = SteeringVector.load(paths.vector(language_folder, config.country, *place))
                if vector.space.of_features:
                    first = 0 if vector.info.steer_bos else 1
                    states = [store.hidden[i][first:] for i in sets[setting].train[:STAND_IN_PAIRS]]
                    vector, measured = _made_portable(config, evaluator, sae, vector, states, task, setting)
                    rows.append(measured.assign(method=method, task=task, setting=setting))
                if vector.space.reads_prompt:
                    log.info("%s %s %s: kept as it is; its edit depends on the prompt", *place)
                vector.save(paths.portable(language_folder, config.country, *place))
    return rows


def _made_portable(
    config: Config, evaluator: Evaluator, sae: SAE, vector: SteeringVector, states: list[Tensor], task: Task, setting: Setting
) -> tuple[SteeringVector, pd.DataFrame]:
    """Return the smallest form whose validation score stays within tolerance, and one row per form and validation item."""
    info, values = vector.info, vector.values.to(sae.W_dec.device)
    touched = int((values != 0).sum())
    dense = stand_in(sae, info.threshold, info.multiplier * values, [h.to(values.device) for h in states])
    forms = {WHOLE: values} | {str(k): pruned(values, sae, k) for k in sorted(config.portable.top_k) if k < touched}
    sparse = Sparse(sae, info.threshold)
    conditions = {form: Condition(sparse, info.multiplier * v, info.steer_bos) for form, v in forms.items()}
    conditions[DENSE] = Condition(Dense(sae.d_model), dense.values, info.steer_bos)
    frames = dict(zip(conditions, evaluator.validate([(task, setting, c) for c in conditions.values()]), strict=True))
    scores = {form: score_summary(frame) for form, frame in frames.items()}
    floor = scores[WHOLE]["score"] - config.portable.tolerance * RANGE[task]
    chosen = next((form for form in forms if form != WHOLE and scores[form]["score"] >= floor), WHOLE)
    log.info("%s %s %s: %s of %d features", info.method, task, setting, chosen, touched)
    portable = carry(replace(vector, values=forms[chosen]), sae)
    header = {
        "pruning": {"form": chosen, "touched": touched, "tolerance": config.portable.tolerance, "validation": scores},
        "stand_in": {"explained": dense.explained, "validation_gap": scores[DENSE]["score"] - scores[WHOLE]["score"]},
    }
    rows = [
        frame[["question_id", "variant", "phrasing", "score", "parsed"]].assign(form=form, features=_features(forms, form))
        for form, frame in frames.items()
    ]
    extra = {**info.extra, **header}
    return replace(portable, info=replace(info, extra=extra), dense=dense.values), pd.concat(rows, ignore_index=True)


def _features(forms: dict[str, Tensor], form: str) -> int:
    """Return the number of features that a form touches; the dense stand-in touches none."""
    return int((forms[form] != 0).sum()) if form in forms else 0


if __name__ == "__main__":
    run(main)
