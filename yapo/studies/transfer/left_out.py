"""Stage ``transfer_left_out``: one method's vectors for each country of a language, from all of its other countries."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

from yapo.checks import Task
from yapo.config import Config
from yapo.dag.scope import check_country, studied
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.pairs import PreparedPairs, fit_inputs, models_of, read_prepared
from yapo.steering.methods import get_method
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import TrainedVector
from yapo.studies.checks import check_methods
from yapo.tensors import load_tensors, save_tensors

READS = ("prompts", "model", "sae", "method", "train", "tasks", "studies.transfer")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``left_out/<method>.safetensors`` of the language of ``country``: ``<country>/<task>``, ``[epochs, width]`` each.

    A vector has seen no pair of the country that it is named after. A language with one country has none.
    """
    check_methods(config, "transfer")
    paths, layer, method = Paths.of(config), read_layer(config), get_method(config.method.name)
    if method.space.reads_prompt:
        raise YapoError(
            f"studies.transfer.left_out_methods={config.method.name}: has no vector that learns from pairs; leave it out"
        )
    known = known_countries(config.data)
    check_country(config.country, known)
    language_folder, setting = known[config.country], config.studies.transfer.setting
    pools, path = pools_of(config, known, language_folder), left_out_path(paths, language_folder, config.method.name)

    models, vectors, infos = models_of(config), {}, {}
    for task in config.tasks if pools else []:
        parts = {country: read_prepared(paths, language_folder, country, task) for country in pools}
        sae = read_sae(config, layer, next(iter(parts.values())).store.hidden[0].shape[-1])
        for country, pool in pools.items():
            pairs = PreparedPairs.joined({other: parts[other] for other in pool})
            checkpoint = path.with_name(f"{config.method.name}-{country}-{task}.checkpoint.safetensors")
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            inputs = fit_inputs(
                pairs,
                train_sets(pairs.rows, [setting]),
                layer,
                sae,
                models,
                config.method,
                config.train,
                config.prompts,
                log=_unlogged,
                checkpoint=checkpoint,
                extra={"left_out": country, "pool": pool, "task": task},
            )
            vector = method.fit(inputs)[setting]
            checkpoint.unlink(missing_ok=True)
            vectors[f"{country}/{task}"], infos[f"{country}/{task}"] = vector.epochs, asdict(vector.info)
            log.info("%s %s without %s", config.method.name, task, country)
    save_tensors(path, vectors, {"vectors": infos})


def pools_of(config: Config, known: dict[str, str], language_folder: str) -> dict[str, list[str]]:
    """Return for each country of the study with that language all of its others; empty where there is only one."""
    countries = [
        c for c, spoken in studied(config, known, config.studies.transfer.countries).items() if spoken == language_folder
    ]
    pools = {country: [other for other in countries if other != country] for country in countries}
    return pools if len(countries) > 1 else {}


def left_out_path(paths: Paths, language_folder: str, method: str) -> Path:
    """Return the file of a method's vectors of a language."""
    return paths.root / language_folder / "left_out" / f"{method}.safetensors"


def read_left_out(paths: Paths, language_folder: str, method: str, country: str, task: Task) -> TrainedVector:
    """Return the vector of all countries of a language but one."""
    path, name = left_out_path(paths, language_folder, method), f"{country}/{task}"
    tensors, header = load_tensors(path)
    if name not in tensors:
        raise YapoError(f"{path}: has no vector {name}; run `python -m yapo.studies.transfer.left_out` with the same settings")
    described = header.get("vectors")
    if not isinstance(described, dict) or not isinstance(described.get(name), dict):
        raise YapoError(f"{path}: its header does not describe the vector {name}; run the stage transfer_left_out again")
    trained = TrainedVector.read({"epochs": tensors[name]}, described[name], path)
    if not isinstance(trained.info.extra.get("pool"), list):
        raise YapoError(f"{path}: its header does not name the countries of {name}; run the stage transfer_left_out again")
    return trained


def _unlogged(row: LogRow) -> None:
    """Drop a row of the training curves, which are not kept."""


if __name__ == "__main__":
    run(main)
