"""Stage ``behaviour_prepare``: the preference pairs of one behaviour, and the activations that training reads."""

from __future__ import annotations

import logging
from pathlib import Path

from yapo.checks import Task
from yapo.config import Config
from yapo.data.behaviours import LANGUAGE, load_behaviour
from yapo.data.preferences import split_report
from yapo.data.sources import refuse_training
from yapo.errors import YapoError
from yapo.files import digest, file_digest, write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.pairs import parts_of, write_prepared
from yapo.steering.activations import build_store
from yapo.steering.prepare import token_pairs

READS = ("data.path", "split", "model", "sae", "discovery.layer")

log = logging.getLogger(__name__)
TASK: Task = "open_ended"


def main(config: Config) -> None:
    """Write ``pairs/`` and ``prepared/`` of the behaviour that ``country`` names; its test questions are kept as pairs only."""
    refuse_training(config.data, "preference pairs are made")
    paths, layer, behaviour = Paths.of(config), read_layer(config), config.country
    pairs, report = load_behaviour(config.data.path, behaviour, config.split)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    kept, tokens, long = token_pairs(lm, pairs.assign(variant="nonlocalized"), config.model.max_prompt_tokens)
    learned = kept["split"] != "test"
    if not learned.any():
        raise YapoError(f"{behaviour}: all {long} prompts are longer than model.max_prompt_tokens; raise it, or give others")
    parts = parts_of(paths.store(LANGUAGE, behaviour, TASK))
    used = [pair for pair, use in zip(tokens, learned, strict=True) if use]
    store = build_store(lm, layer, sae, used, config.model.batch_size, parts, config.store.max_bytes)
    files = [Path(report[name]["source"]) for name in ("train", "test") if name in report]
    data_hash = digest([file_digest(*files), behaviour])
    report |= {"split": split_report(kept), "dropped_long": long}
    write_parquet(paths.country(LANGUAGE, behaviour) / "pairs" / "test.parquet", kept[~learned].reset_index(drop=True))
    write_prepared(config, LANGUAGE, TASK, store, kept[learned].reset_index(drop=True), lm, sae, data_hash, report)
    log.info("%s: %s", behaviour, kept["split"].value_counts().to_dict())


if __name__ == "__main__":
    run(main)
