"""Stage ``evaluate_adapters``: what ``evaluate`` does, and the same for adapters of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from yapo.config import Config
from yapo.dag.adapters import check_adapters
from yapo.data.schema import read_table
from yapo.evaluation.adapted import AdaptedEvaluator
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Evaluator
from yapo.evaluation.judges import Judge, get_judge
from yapo.evaluation.selection import Key, Trial
from yapo.files import read_json, write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages import evaluate
from yapo.stages.app import run
from yapo.stages.country_answers import COLUMNS
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer
from yapo.steering.lora.adapter import Adapter

READS = (
    "data.seed", "prompts", "model", "sae", "generation", "selection", "judge", "tasks", "settings", "methods", "controls",
    "adapters.rows", "train.epochs",
)  # fmt: skip


def main(config: Config) -> None:
    """Write what ``evaluate`` writes, with rows of the adapters; and ``adapters/``, the chosen ones, each at its λ."""
    check_adapters(config)
    paths, judge, items = Paths.of(config), get_judge(config.judge), read_items(config, config.country)
    language_folder = language_folder_of(items)
    trained: dict[Key, list[Adapter]] = {
        (kind, task, setting): _epochs(config, paths.trained(language_folder, config.country, kind) / f"{task}-{setting}")
        for kind in config.adapters.rows
        for task in config.tasks
        for setting in config.settings
    }
    folder = paths.country(language_folder, config.country) / "adapters"
    chosen, grid, tested = _answers(config, items, trained, judge, folder / "completions.json")
    evaluate.main(config)
    place = {"language": items["language"].iloc[0], "country": config.country}
    _append(paths.validation(language_folder, config.country), grid.assign(**place))
    for way, frame in tested.items():
        _append(paths.evaluation(language_folder, config.country, way), frame[COLUMNS])
    for key, trial in chosen.items():
        _keep(trained[key][trial.epoch - 1], trial, folder)
    write_json(folder / "judge.json", judge.report())


def _epochs(config: Config, folder: Path) -> list[Adapter]:
    """Read an adapter as it was after each epoch."""
    return [Adapter.load(folder / f"epoch_{epoch}") for epoch in range(1, config.train.epochs + 1)]


def _answers(
    config: Config, items: pd.DataFrame, trained: Mapping[Key, Sequence[Adapter]], judge: Judge, kept: Path
) -> tuple[dict[Key, Trial], pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return what is chosen, the grid on validation, and the test rows by way to answer multiple choice, as ``evaluate`` does."""
    lm, layer = load_language_model(config.model), read_layer(config)
    cache = CompletionCache(kept, lm, layer, config.model.batch_size)
    evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache)
    with cache:
        adapted = AdaptedEvaluator(evaluator, trained)
        chosen, grid = adapted.select(config.selection.multipliers)
        tested = {"": adapted.test(chosen, config.tasks)}
        for way in config.other_ways:
            other = replace(evaluator, generation=replace(config.generation, mcq=[way]))
            tested[way] = AdaptedEvaluator(other, trained).test(chosen, ["mcq"])
    return chosen, grid, tested


def _append(path: Path, rows: pd.DataFrame) -> None:
    """Add rows to a table."""
    found = read_table(path)
    write_parquet(path, pd.concat([found, rows[found.columns]], ignore_index=True))


def _keep(adapter: Adapter, trial: Trial, folder: Path) -> None:
    """Write a chosen adapter at its λ, and where it comes from."""
    kind, task, setting = trial.key
    place = folder / kind / f"{task}-{setting}"
    adapter.save(place, trial.multiplier)
    record = {"task": task, "setting": setting, "epoch": trial.epoch, "multiplier": trial.multiplier}
    write_json(place / "provenance.json", {**record, "training": read_json(adapter.folder.parents[1] / "run.json")})


if __name__ == "__main__":
    run(main)
