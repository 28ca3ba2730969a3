"""Stage ``costs``: the arithmetic of one method on one country's pairs, counted by torch, and the size of its vectors."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.dag.compared_countries import compared_countries
from yapo.data.sources import known_countries
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.pairs import fit_inputs, models_of, read_prepared
from yapo.stages.vectors import VectorReader
from yapo.steering.methods import get_method
from yapo.steering.training.train_sets import train_sets
from yapo.studies.costs import counted_setting
from yapo.studies.costs.counts import count_edit, count_fit, count_preparation, count_token

READS = ("prompts", "model", "sae", "method", "train", "tasks", "settings")
NAME = "costs"


def main(config: Config) -> None:
    """Write ``studies/costs_<method>.parquet`` for ``country``: one row per task.

    Columns, floating-point operations as torch's counter counts them (matrix products and attention):
        pairs, passes: training pairs, and how often the fit runs the model over each; of a training once an epoch.
        prepare_flops: the model's pass over all pairs before the fit, as far up as the method needs it; shared by methods.
        fit_flops: the fit itself. That of a training is counted on a sample and scaled (``counts``).
        edit_flops, token_flops: of the edit of one generated token, and of the unsteered model's pass over it.
        values, file_bytes: numbers of the chosen vector other than 0, and the size of its file.
    """
    paths, layer, method = Paths.of(config), read_layer(config), get_method(config.method.name)
    name, known = config.method.name, known_countries(config.data)
    language_folder, lm = known[config.country], load_language_model(config.model)
    sae, reader = read_sae(config, layer, lm.d_model).to(lm.device), VectorReader(config, lm, layer)
    compared = compared_countries(config, name, config.country, known)
    path = paths.study_rows(f"{NAME}_{name}", language_folder, config.country)
    rows, setting = [], counted_setting(config.settings)
    for task in config.tasks:
        prepared = read_prepared(paths, language_folder, config.country, task)
        others = {other: read_prepared(paths, place, other, task) for other, place in compared.items()}
        for part in train_sets(prepared.rows, [setting]):
            vector = reader.read(language_folder, config.country, name, task, setting)
            inputs = fit_inputs(
                prepared,
                [part],
                layer,
                sae,
                models_of(config, lm),
                config.method,
                config.train,
                config.prompts,
                lambda _: None,
                path.with_suffix(".checkpoint.safetensors"),
                {"country": config.country, "task": task},
                others,
            )
            fit = count_fit(method, inputs)
            rows.append(
                {
                    "task": task,
                    "setting": setting,
                    "pairs": len(part.train),
                    "passes": fit.passes,
                    "prepare_flops": count_preparation(method, lm, layer, prepared.store, part),
                    "fit_flops": fit.flops,
                    "edit_flops": count_edit(vector, lm),
                    "token_flops": count_token(lm),
                    "values": int((vector.values != 0).sum()),
                    "file_bytes": paths.vector(language_folder, config.country, name, task, setting).stat().st_size,
                }
            )
    write_parquet(path, pd.DataFrame(rows).assign(country=config.country, method=name))


if __name__ == "__main__":
    run(main)
