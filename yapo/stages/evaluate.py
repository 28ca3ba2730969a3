"""Stage ``evaluate``: choose epoch and multiplier on validation, answer the test questions, keep the chosen vectors."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.sources import refuse_training
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Evaluator
from yapo.evaluation.judges import get_judge
from yapo.evaluation.preamble_controls import check_examples
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.country_answers import answer_test_items, write_test_answers
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer
from yapo.stages.vectors import candidates_of, trained_vectors

READS = ("data.seed", "prompts", "model", "sae", "generation", "selection", "judge", "tasks", "settings", "methods", "controls")


def main(config: Config) -> None:
    """Write ``validation.parquet``, ``evaluation.parquet`` and ``vectors/`` for ``country``.

    Each further way to answer multiple choice answers the test questions under what the first one chose, in a file of its own.

    Raises:
        YapoError: the data are for evaluation only, so that nothing can be chosen on validation.
    """
    refuse_training(config.data, "multipliers are chosen")
    paths, layer, judge = Paths.of(config), read_layer(config), get_judge(config.judge)
    items = read_items(config, config.country)
    check_examples(config.controls, items)
    language_folder = language_folder_of(items)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    trained = trained_vectors(config, paths, language_folder)
    candidates = candidates_of(config, trained, lm, layer)
    cache = CompletionCache(
        paths.country(language_folder, config.country) / "completions.json", lm, layer, config.model.batch_size
    )
    evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache, config.controls)
    with cache:
        chosen, grid = evaluator.select(candidates, config.selection.multipliers, config.selection.max_kl)
        baseline = evaluator.baseline_validation(config.tasks, config.settings)
        tested = answer_test_items(config, evaluator, candidates, chosen)
    for key, trial in chosen.items():
        trained[key].chosen(trial.epoch, trial.multiplier).save(paths.vector(language_folder, config.country, *key))
    place = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(
        paths.validation(language_folder, config.country), pd.concat([baseline, grid], ignore_index=True).assign(**place)
    )
    write_test_answers(config, language_folder, evaluator, tested)


if __name__ == "__main__":
    run(main)
