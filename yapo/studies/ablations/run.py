"""Stage ``ablations``: ``country``'s vectors by ``method``, trained in the experiment's way and with one change at a time."""

from __future__ import annotations

import logging

import pandas as pd
from torch import Tensor

from yapo.config import Config
from yapo.evaluation.decoding import Condition
from yapo.files import write_parquet
from yapo.models.sae import load_sae
from yapo.models.sae_quality import reconstruction_quality
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.steering.interventions import Intervention
from yapo.steering.methods import get_method
from yapo.studies.ablations.variants import Variant, variants_of
from yapo.studies.checks import check_methods
from yapo.studies.trainings import ITEM, Training, TrainingSetup

READS = (
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "method",
    "train",
    "studies.ablations.tasks",
    "studies.ablations.setting",
    "studies.ablations.seeds",
    "studies.ablations.variants",
)

log = logging.getLogger(__name__)
NAME = "ablations"

COLUMNS = [
    "language", "country", "task", "setting", "method", "change", "seed", "multiplier", *ITEM, "score", "parsed", "exact",
    "loss", "displacement", "l0", "difference", "explained_variance", "sae_l0",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/ablations_<method>.parquet`` for ``country``: one row per validation item, change, seed and λ = 1 or -1.

    Vectors are those after the last epoch. Columns beside the usual ones:
        change: the variant; "default" is the experiment's setting, and "unsteered" (λ = 0) the model itself.
        loss: of the item's pair, with the experiment's β, in the direction of λ; ``displacement``: by λ·v at its tokens.
        l0: features or entries that the vector touches.
        difference: norm of the vector minus the default one, as a share of the latter's; missing in another autoencoder's space.
        explained_variance, sae_l0: of the autoencoder on the validation pairs.
    """
    check_methods(config, "ablations")
    settings, variants = config.studies.ablations, variants_of(config)
    setup = TrainingSetup.of_method(config, f"{NAME}_{config.method.name}")
    frames, checkpoints = list[pd.DataFrame](), []
    with setup.answerer.cache:
        for task in settings.tasks:
            training, default = setup.training(task, settings.setting), dict[int, Tensor]()
            frames.append(training.answers([Condition()])[0].assign(change="unsteered", multiplier=0.0, task=task))
            for variant in variants:
                encoded = training
                if variant.sae is not None:
                    encoded = training.reencode(load_sae(Paths.of(config).ablation_sae(variant.name)))
                checkpoints.append(setup.path.with_name(f"{setup.path.stem}-{task}-{variant.name}.checkpoint.safetensors"))
                vectors, _ = encoded.fit(variant.train, variant.options, settings.seeds, checkpoints[-1])
                last = {seed: vector.epochs[-1] for seed, vector in vectors.items()}
                default = default or last
                edit, apart = encoded.intervention(vectors), default if variant.sae is None else {}
                frames.append(_measured(encoded, variant, edit, last, apart).assign(task=task))
                log.info("%s %s %s: %s", config.country, config.method.name, task, variant.name)
    labels = {**setup.labels, "method": config.method.name, "setting": settings.setting}
    rows = pd.concat(frames, ignore_index=True).assign(**labels)
    write_parquet(setup.path, rows.reindex(columns=COLUMNS))
    for checkpoint in checkpoints:
        checkpoint.unlink()


def _measured(
    training: Training, variant: Variant, intervention: Intervention, vectors: dict[int, Tensor], default: dict[int, Tensor]
) -> pd.DataFrame:
    """Return answers and pairs of validation, steered by every seed's vector both ways."""
    steer_bos = variant.train.steer_bos
    points = [(seed, multiplier) for seed in vectors for multiplier in (1.0, -1.0)]
    answers = training.answers([Condition(intervention, multiplier * vectors[seed], steer_bos) for seed, multiplier in points])
    frames = []
    for (seed, multiplier), answered in zip(points, answers, strict=True):
        v = vectors[seed]
        apart = float((v - default[seed]).norm() / default[seed].norm()) if default else None
        pairs = training.measure(intervention, v, multiplier)
        size = {"l0": int((v != 0).sum()), "difference": apart}
        frames.append(answered.merge(pairs, on=ITEM, how="left").assign(seed=seed, multiplier=multiplier, **size))
    quality = dict[str, float]()
    if get_method(training.setup.config.method.name).space.of_features:
        explained, l0 = reconstruction_quality(
            training.sae, (training.prepared.store.hidden[i][1:] for i in training.part.validation)
        )
        quality = {"explained_variance": explained, "sae_l0": l0}
    return pd.concat(frames, ignore_index=True).assign(change=variant.name, **quality)


if __name__ == "__main__":
    run(main)
