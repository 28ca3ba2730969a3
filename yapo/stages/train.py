"""Stage ``train``: one method's vectors for one country, for every task and setting."""

from __future__ import annotations

import logging
from pathlib import Path

from yapo.checks import Task
from yapo.config import Config
from yapo.dag.compared_countries import compared_countries
from yapo.dag.scope import check_country
from yapo.data.sources import known_countries, refuse_training
from yapo.files import digest, write_json
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.pairs import fit_inputs, models_of, read_prepared
from yapo.stages.provenance import run_record
from yapo.stages.spent import Spent
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.training.curves import CurvesFile, closed_form_row
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import TrainedVector
from yapo.tensors import check_tensors

READS = ("prompts", "model", "sae", "method", "train", "tasks", "settings")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``train/<method>/``: ``<task>-<setting>.safetensors``, ``curves.jsonl`` and ``run.json``; and what the fit took.

    Everything is checked before a file is opened, and the vectors of all tasks are made before the first is written, so that a
    training that is refused or stops leaves the folder as it was.
    """
    refuse_training(config.data, "vectors are trained")
    paths, layer, method = Paths.of(config), read_layer(config), get_method(config.method.name)
    known = known_countries(config.data)
    check_country(config.country, known)
    language_folder = known[config.country]
    folder = paths.trained(language_folder, config.country, config.method.name)
    compared = compared_countries(config, config.method.name, config.country, known)
    prepared = {task: read_prepared(paths, language_folder, config.country, task) for task in config.tasks}
    sae = read_sae(config, layer, next(iter(prepared.values())).store.hidden[0].shape[-1])
    models, settings = models_of(config), (config.method, config.train, config.prompts)
    inputs, vectors = dict[Task, FitInputs](), dict[Path, TrainedVector]()
    with CurvesFile(folder / "curves.jsonl") as curves:
        for task, pairs in prepared.items():
            sets, checkpoint = train_sets(pairs.rows, config.settings), folder / f"{task}.checkpoint.safetensors"
            extra = {"country": config.country, "language": language_folder, "task": task}
            others = {name: read_prepared(paths, place, name, task) for name, place in compared.items()}
            inputs[task] = fit_inputs(pairs, sets, layer, sae, models, *settings, curves.of(task), checkpoint, extra, others)
        spent = Spent()
        for task, given in inputs.items():
            with spent:
                learned = method.fit(given)
            for part in given.sets:
                path, vector = folder / f"{task}-{part.name}.safetensors", learned[part.name]
                check_tensors(path, {"epochs": vector.epochs})
                if (task, part.name) not in curves.known:  # closed form: one row, so that every method shows where it ended
                    given.log(closed_form_row(given, part, vector))
                vectors[path] = vector
            log.info("%s %s %s: %s", config.country, config.method.name, task, ", ".join(learned))
        for path, vector in vectors.items():
            vector.save(path)
        data_hash = digest([pairs.data_hash for pairs in prepared.values()])
        write_json(folder / "run.json", run_record(config, language_folder, layer, data_hash))
        write_json(paths.spent(language_folder, config.country, config.method.name), spent.record())
        curves.keep()
    for checkpoint in folder.glob("*.checkpoint.safetensors"):
        checkpoint.unlink()


if __name__ == "__main__":
    run(main)
