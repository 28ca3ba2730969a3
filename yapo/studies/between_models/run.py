"""Stage ``between_models``: one country's test questions under vectors of another model, carried over by maps."""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Evaluator
from yapo.evaluation.judges import get_judge
from yapo.evaluation.selection import Key
from yapo.files import write_parquet
from yapo.models.shared_text import Chat
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer
from yapo.stages.provenance import TrainingRun
from yapo.stages.vectors import VectorReader
from yapo.steering.vector import SteeringVector
from yapo.studies.between_models.carry import Carried, Link, TextModel, TextSplit
from yapo.studies.between_models.source import carried_methods, refuse_same, source_config, source_files
from yapo.studies.checks import check_methods

READS = (
    "data.seed", "prompts", "model", "sae", "generation", "selection", "judge", "tasks", "methods", "studies.between_models",
)  # fmt: skip
NAME = "between_models"
SPLITS: tuple[TextSplit, ...] = ("train", "validation")
COLUMNS = [
    "language", "country", "task", "setting", "method", "map", "variant", "question_id", "phrasing", "multiplier",
    "score", "parsed", "cosine", "fit", "kept",
]  # fmt: skip

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``studies/between_models.parquet`` for ``country``: one row per test question and condition.

    A condition is the unsteered model (``method`` baseline), the model's own vector (``map`` own), or the other model's vector by
    the map that ``map`` names, at the λ that validation chose; ``cosine``, ``fit`` and ``kept`` tell of the latter (``Carried``).

    Raises:
        YapoError: the other study lacks a vector, or is of this model or of other data.
    """
    check_methods(config, NAME)
    setting, items = config.studies.between_models.setting, read_items(config, config.country)
    language_folder, methods = language_folder_of(items), carried_methods(config)
    source_files(config, language_folder, config.country)
    path = Paths.of(config).study_rows(NAME, language_folder, config.country)
    link = _link(config, items, path.parent)
    target, vectors = link.target, [VectorReader(one.config, one.lm, one.layer) for one in (link.source, link.target)]
    carried = dict[Key, Carried]()
    for task, method in product(config.tasks, methods):
        place = (language_folder, config.country, method, task, setting)
        _check_same_data(*(reader.paths.vector(*place) for reader in vectors))
        theirs, ours = (reader.read(*place) for reader in vectors)
        carried |= {(f"{method} {kind}", task, setting): one for kind, one in link.carry(theirs, ours).items()}
    cache = CompletionCache(path.with_suffix(".completions.json"), target.lm, target.layer, config.model.batch_size)
    judge, prompts = get_judge(config.judge), prompt_format(config)
    evaluator = Evaluator(target.lm, target.layer, items, prompts, config.generation, judge, cache)
    with cache:
        candidates = {key: one.candidate for key, one in carried.items()}
        chosen, _ = evaluator.select(candidates, [multiplier for multiplier in config.selection.multipliers if multiplier > 0])
        tested = evaluator.tested([(key[1], key[2], candidates[key].condition(trial)) for key, trial in chosen.items()])
    answered = read_table(Paths.of(config).evaluation(language_folder, config.country))
    answered = answered[(answered["setting"] == setting) & answered["method"].isin(["baseline", *methods])]
    frames = [
        answered.assign(map=np.where(answered["method"] == "baseline", "none", "own"), cosine=np.nan, fit=np.nan, kept=np.nan)
    ]
    for (key, trial), frame in zip(chosen.items(), tested, strict=True):
        method, kind = key[0].split()
        one = carried[key]
        log.info("%s: λ %g, cosine %.3f, fit %.3f, kept %.3f", " ".join(key), trial.multiplier, one.cosine, one.fit, one.kept)
        frame = frame.assign(method=method, map=kind, task=key[1], setting=setting, multiplier=trial.multiplier)
        frames.append(frame.assign(cosine=one.cosine, fit=one.fit, kept=one.kept))
    named = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(path, pd.concat(frames, ignore_index=True).assign(**named)[COLUMNS])


def _link(config: Config, items: pd.DataFrame, scratch: Path) -> Link:
    """Load both models and learn the maps between them on the country's training questions."""
    chats = {split: _chats(config, items[items["split"] == split]) for split in SPLITS}
    theirs = Paths(Path(config.studies.between_models.source))
    made = TrainingRun.of(theirs.trained(language_folder_of(items), config.country, carried_methods(config)[0]))
    source = TextModel.of(source_config(config, made), made.layer, chats, scratch)
    target = TextModel.of(config, read_layer(config), chats, scratch)
    if source.lm.digest == target.lm.digest:
        raise refuse_same(config)
    return Link(source, target, config.data.seed)


def _chats(config: Config, items: pd.DataFrame) -> list[Chat]:
    """Return questions with their right answers, of every task, at most ``texts`` of them, drawn by the seed of the data."""
    prompts, chats = prompt_format(config), list[Chat]()
    for task in config.tasks:
        answers = [prompts.answer(task, options, i) for options, i in zip(items["options"], items["answer_index"], strict=True)]
        chats += zip(prompts.prompts(task, items), answers, strict=True)
    drawn = np.random.default_rng(config.data.seed).permutation(len(chats))[: config.studies.between_models.texts]
    return [chats[i] for i in sorted(drawn)]


def _check_same_data(theirs: Path, ours: Path) -> None:
    """Refuse a vector of other questions or another split: this study's test questions may be among those it was trained on."""
    if SteeringVector.load(theirs).info.data_hash != SteeringVector.load(ours).info.data_hash:
        raise YapoError(
            f"{theirs}: trained on other questions or another split than this study's, so that test questions may be among them; "
            "run that study with the same data and split"
        )


if __name__ == "__main__":
    run(main)
