"""Stage ``ablations_sae``: the autoencoders of the ablations' variants, trained on the model's states at the steered layer."""

from __future__ import annotations

from yapo.config import Config
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.autoencoders import States, gather_states, write_sae
from yapo.stages.inputs import read_layer
from yapo.studies.ablations.variants import autoencoders_of

READS = ("prompts", "model", "discovery.layer", "sae.train", "tasks", "studies.ablations.variants")


def main(config: Config) -> None:
    """Write ``studies/ablations/<variant>/``, as the stage ``train_sae`` does; variants on the same tokens share them."""
    paths, layer = Paths.of(config), read_layer(config)
    gathered: dict[tuple[int, int], States] = {}
    for name, settings in autoencoders_of(config).items():
        folder, tokens = paths.ablation_sae(name), (settings.max_tokens, settings.seed)
        if tokens not in gathered:
            gathered[tokens] = gather_states(config, settings, layer, folder)
        write_sae(config, settings, gathered[tokens], layer, folder)


if __name__ == "__main__":
    run(main)
