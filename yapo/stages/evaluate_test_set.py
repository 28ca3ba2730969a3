"""Stage ``evaluate_test_set``: vectors from files on a set that is for evaluation only.

Nothing is chosen on such a set: every vector has its own multiplier, and all items are test items.
"""

from __future__ import annotations

from dataclasses import replace

from yapo.checks import IMPORTED
from yapo.config import Config
from yapo.dag.data_use import check_forms
from yapo.data.sources import role_of
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.judges import get_judge
from yapo.evaluation.preamble_controls import check_examples
from yapo.evaluation.selection import Key, Trial
from yapo.models.language_model import load_language_model
from yapo.paths import Paths, imported_vector
from yapo.stages.app import run
from yapo.stages.country_answers import answer_test_items, write_test_answers
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer
from yapo.stages.vectors import ModelInterventions
from yapo.steering.method import read_options
from yapo.steering.methods.imported import Options, check_layer, check_space
from yapo.steering.vector import SteeringVector

READS = ("data.seed", "prompts", "model", "sae", "generation", "judge", "tasks", "settings", "methods", "method", "controls")
EPOCH = 1


def main(config: Config) -> None:
    """Write ``evaluation.parquet`` and ``vectors/`` for ``country``.

    Raises:
        YapoError: the data are not for evaluation only, or a vector is not for this study.
    """
    if role_of(config.data) != "test":
        raise YapoError("data.role=train: evaluates sets for evaluation only; run the stage evaluate, or set data.role=test")
    check_forms(config)
    paths, layer, judge = Paths.of(config), read_layer(config), get_judge(config.judge)
    items = read_items(config, config.country)
    check_examples(config.controls, items)
    language_folder = language_folder_of(items)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    interventions = ModelInterventions(config, lm, layer)
    vectors = _vectors(config, layer)
    candidates = {
        key: Candidate(vector.values[None], interventions.of(vector, place, "give one"), vector.info.steer_bos)
        for key, (place, vector) in vectors.items()
    }
    chosen = {key: Trial(key, EPOCH, vector.info.multiplier) for key, (_, vector) in vectors.items()}
    folder = paths.country(language_folder, config.country)
    cache = CompletionCache(folder / "completions.json", lm, layer, config.model.batch_size)
    with cache:
        evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache, config.controls)
        tested = answer_test_items(config, evaluator, candidates, chosen)
    for key, (_, vector) in vectors.items():
        info = replace(vector.info, extra={**vector.info.extra, "epoch": EPOCH})
        replace(vector, info=info).save(paths.vector(language_folder, config.country, *key))
    write_test_answers(config, language_folder, evaluator, tested)


def _vectors(config: Config, layer: int) -> dict[Key, tuple[str, SteeringVector]]:
    """Return what an error calls the vector of each task and setting, and the vector.

    Raises:
        YapoError: a file is missing or no vector, or its vector cannot be applied at this layer.
    """
    pattern = read_options(Options, config.method.options).file
    found: dict[Key, tuple[str, SteeringVector]] = {}
    for task in config.tasks:
        for setting in config.settings:
            path = imported_vector(pattern, config.country, task, setting)
            vector, place = SteeringVector.load(path), f"method.options.file={path}"
            check_space(vector, place)
            check_layer(vector, place, layer)
            found[IMPORTED, task, setting] = place, vector
    return found


if __name__ == "__main__":
    run(main)
