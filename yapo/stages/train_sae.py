"""Stage ``train_sae``: autoencoders of the study's own (``sae=train``), for every layer that one may be needed of.

They are trained on the model's states at the training split of all countries in the data, so that a study narrowed to some
countries keeps its autoencoders.
"""

from __future__ import annotations

import logging

from yapo.config import Config
from yapo.dag.scope import layers_to_read
from yapo.data.sources import refuse_training
from yapo.errors import YapoError
from yapo.files import remove_empty
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.autoencoders import gather_states, write_sae

READS = ("prompts", "model", "sae.train", "sae.layers", "tasks")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``sae/layer_<L>/``: a SAELens folder, ``curves.jsonl`` and ``quality.json`` (on the validation split)."""
    refuse_training(config.data, "autoencoders are trained")
    if not config.sae.trained:
        raise YapoError("sae.trained=False: this study is given its autoencoders; choose sae=train to train them")
    paths, settings = Paths.of(config), config.sae.train
    for layer in config.sae.layers or layers_to_read(config):
        folder = paths.sae(layer)
        try:
            explained = write_sae(config, settings, gather_states(config, settings, layer, folder), layer, folder)
        except YapoError:
            remove_empty(folder)
            raise
        if explained < config.sae.min_explained_variance:
            log.warning("%s: explains too little; the stage prepare will refuse it where this layer is chosen", folder)


if __name__ == "__main__":
    run(main)
