"""Stage ``prepare``: one country's on-policy preference pairs, and the activations that training reads."""

from __future__ import annotations

import logging

from yapo.config import Config
from yapo.data.sources import refuse_training
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.completer import Completer
from yapo.evaluation.exact import exact
from yapo.evaluation.options import chosen_texts
from yapo.files import digest, file_digest
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer, read_sae
from yapo.stages.pairs import parts_of, write_prepared
from yapo.steering.prepare import prepare

READS = ("data.seed", "prompts", "model", "sae", "generation", "tasks")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``prepared/<task>.safetensors`` and ``pairs/<task>.parquet`` for ``country``."""
    refuse_training(config.data, "preference pairs are made")
    paths, layer, prompts = Paths.of(config), read_layer(config), prompt_format(config)
    items = read_items(config, config.country)
    items = items[items["split"] != "test"].reset_index(drop=True)
    language_folder = language_folder_of(items)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    with CompletionCache(paths.answers(language_folder, config.country), lm, layer, config.model.batch_size) as answers:
        for task in config.tasks:
            completer = Completer(prompts, config.generation, answers)
            completions = completer.unsteered(items, task, f"{config.country} {task} answers")
            correct, form = exact(items, completions, task), config.generation.form(task)
            if form != task:
                completions = chosen_texts(items, completions)
            parts = parts_of(paths.store(language_folder, config.country, task))
            limits = (config.model, config.generation, config.data.seed)
            prepared = prepare(lm, layer, items, completions, correct, form, prompts, *limits, sae, parts, config.store.max_bytes)
            data_hash = digest([file_digest(paths.items, paths.split), config.country, task])
            report = {"counts": prepared.counts}
            write_prepared(config, language_folder, task, prepared.store, prepared.rows, lm, sae, data_hash, report)
            log.info("%s %s: %d pairs %s", config.country, task, len(prepared.rows), prepared.counts)


if __name__ == "__main__":
    run(main)
