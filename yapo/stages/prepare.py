"""Stage ``prepare``: one country's on-policy preference pairs, and the activations that training reads."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict

from tqdm import tqdm

from yapo.config import Config
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import exact
from yapo.files import digest, file_digest, write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import language_of, prompt_format, read_items, read_layer, read_sae
from yapo.steering.activations import GIGABYTE
from yapo.steering.prepare import prepare

READS = ("data.seed", "prompts", "model", "sae", "generation", "tasks")

log = logging.getLogger(__name__)
CHUNK = 4  # forward batches between two saves of the answers


def main(config: Config) -> None:
    """Write ``prepared/<task>.safetensors`` and ``pairs/<task>.parquet`` for ``country``."""
    paths, layer, prompts = Paths.of(config), read_layer(config), prompt_format(config)
    items = read_items(config, config.country)
    items = items[items["split"] != "test"].reset_index(drop=True)
    language = language_of(items)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    answers = CompletionCache(paths.answers(language, config.country), lm, layer, config.model.batch_size)
    for task in config.tasks:
        ids = [lm.tokenizer.prompt(text) for text in prompts.prompts(task, items)]
        completions = _answers(config, ids, task, answers)
        correct = exact(items, completions, task)
        path, pairs = paths.store(language, config.country, task), paths.pairs(language, config.country, task)
        parts = path.with_suffix(".parts")
        prepared = prepare(
            lm,
            layer,
            items,
            completions,
            correct,
            task,
            prompts,
            config.model,
            config.generation,
            seed=config.data.seed,
            sae=sae,
            parts=parts,
            max_bytes=config.store.max_gigabytes * GIGABYTE,
        )
        explained, l0 = reconstruction_quality(sae, (states[1:] for states in prepared.store.hidden))
        check_quality(sae, explained, config.sae.min_explained_variance)
        write_parquet(pairs, prepared.rows)
        header = {
            "model": lm.source,
            "data_hash": digest([file_digest(paths.items, paths.split), config.country, task]),
            "pairs_hash": file_digest(pairs),
            "counts": prepared.counts,
        }
        prepared.store.save(path, header)
        report = {**header, "store": asdict(prepared.store.key), "bytes": prepared.store.size}
        write_json(pairs.with_suffix(".json"), {**report, "autoencoder": {"explained_variance": explained, "l0": l0}})
        shutil.rmtree(parts)
        log.info("%s %s: %d pairs %s", config.country, task, len(prepared.rows), prepared.counts)
    answers.save()


def _answers(config: Config, prompts: list[list[int]], task: str, cache: CompletionCache) -> list[str]:
    """The model's own greedy answers, kept on disk as they come, so that an interrupted job goes on where it was."""
    written: list[str] = []
    size = CHUNK * config.model.batch_size
    for start in tqdm(range(0, len(prompts), size), desc=f"{config.country} {task} answers", disable=None):
        chunk = prompts[start : start + size]
        written += cache.complete(chunk, [Condition()], config.generation.max_new_tokens(task))[0]
        cache.checkpoint()
    return written


if __name__ == "__main__":
    run(main)
