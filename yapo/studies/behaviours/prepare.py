"""Stage ``behaviour_prepare``: the preference pairs of one behaviour, and the activations that training reads."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from yapo.config import Config
from yapo.data.behaviours import LANGUAGE, load_behaviour
from yapo.data.preferences import split_report
from yapo.errors import YapoError
from yapo.files import digest, file_digest, write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.steering.activations import GIGABYTE, build_store
from yapo.steering.prepare import token_pairs

READS = ("data.path", "split", "model", "sae", "discovery.layer")

log = logging.getLogger(__name__)
TASK = "open_ended"


def main(config: Config) -> None:
    """Write ``pairs/`` and ``prepared/`` of the behaviour that ``country`` names; its test questions are kept as pairs only."""
    paths, layer, behaviour = Paths.of(config), read_layer(config), config.country
    pairs, report = load_behaviour(config.data.path, behaviour, config.split)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    kept, tokens, long = token_pairs(lm, pairs.assign(variant="nonlocalized"), config.model.max_prompt_tokens)
    learned = kept["split"] != "test"
    if not learned.any():
        raise YapoError(f"{behaviour}: all {long} prompts are longer than model.max_prompt_tokens; raise it, or give others")
    path, folder = paths.store(LANGUAGE, behaviour, TASK), paths.country(LANGUAGE, behaviour)
    parts = path.with_suffix(".parts")
    store = build_store(
        lm,
        layer,
        sae,
        [pair for pair, use in zip(tokens, learned, strict=True) if use],
        config.model.batch_size,
        parts,
        config.store.max_gigabytes * GIGABYTE,
    )
    explained, l0 = reconstruction_quality(sae, (states[1:] for states in store.hidden))
    check_quality(sae, explained, config.sae.min_explained_variance)
    rows = paths.pairs(LANGUAGE, behaviour, TASK)
    write_parquet(rows, kept[learned].reset_index(drop=True))
    write_parquet(folder / "pairs" / "test.parquet", kept[~learned].reset_index(drop=True))
    files = [Path(report[name]["source"]) for name in ("train", "test") if name in report]
    header = {"model": lm.source, "data_hash": digest([file_digest(*files), behaviour]), "pairs_hash": file_digest(rows)}
    store.save(path, header)
    report["split"] = split_report(kept)
    quality = {"explained_variance": explained, "l0": l0}
    write_json(rows.with_suffix(".json"), {**header, **report, "dropped_long": long, "autoencoder": quality})
    shutil.rmtree(parts)
    log.info("%s: %s", behaviour, kept["split"].value_counts().to_dict())


if __name__ == "__main__":
    run(main)
