"""Stage ``convergence``: ``country``'s vectors by ``method``, trained at several learning rates and from several seeds."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd

from yapo.config import Config
from yapo.evaluation.decoding import Condition
from yapo.files import write_parquet
from yapo.stages.app import run
from yapo.steering.vector import TrainedVector
from yapo.studies.checks import check_methods
from yapo.studies.trainings import Training, TrainingSetup

READS = (
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "method",
    "train",
    "studies.convergence.tasks",
    "studies.convergence.setting",
    "studies.convergence.seeds",
    "studies.convergence.learning_rates",
    "studies.convergence.epochs",
    "studies.convergence.answered_epochs",
    "studies.convergence.train_facts",
)

log = logging.getLogger(__name__)
NAME = "convergence"

COLUMNS = [
    "language", "country", "task", "setting", "method", "lr", "seed", "kind", "step", "epoch", "d", "loss", "margin", "norm",
    "displacement", "l0", "validation_loss", "validation_loss_reversed", "split", "variant", "question_id", "phrasing",
    "score", "parsed", "exact",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/convergence_<method>.parquet`` for ``country``, with three kinds of rows:

    step: minibatch loss, direction d, margin, norm, and the displacement of the residual stream by d·v.
    epoch: validation loss at d = 1 and, ``reversed``, at d = -1; displacement of the validation pairs by v; norm; l0.
    answer: one item, of validation or of a sample of the training facts (``split``), answered at multiplier 1 by the vector
        of that epoch; displacement of the validation pairs by v. Step 0 is the unsteered model: once, without a seed.
    """
    check_methods(config, "convergence")
    settings = config.studies.convergence
    setup = TrainingSetup.of_method(config, f"{NAME}_{config.method.name}")
    frames, checkpoints = list[pd.DataFrame](), []
    with setup.answerer.cache:
        for task in settings.tasks:
            training = setup.training(task, settings.setting)
            for lr in dict.fromkeys(settings.learning_rates):
                checkpoints.append(setup.path.with_name(f"{setup.path.stem}-{task}-{lr:g}.checkpoint.safetensors"))
                train = replace(config.train, lr=lr, epochs=settings.epochs)
                vectors, rows = training.fit(train, config.method.options, settings.seeds, checkpoints[-1])
                reversed_losses = _reversed(training, vectors)
                answers = _answers(training, config, vectors, ends=rows[rows["kind"] == "epoch"])
                frames += [
                    part.assign(task=task, setting=settings.setting, lr=lr)
                    for part in (rows.merge(reversed_losses, on=["kind", "seed", "epoch"], how="left"), answers)
                ]
                log.info("%s %s %s: learning rate %g", config.country, config.method.name, task, lr)
    rows = pd.concat(frames, ignore_index=True).assign(method=config.method.name, **setup.labels)
    write_parquet(setup.path, rows[COLUMNS])
    for checkpoint in checkpoints:
        checkpoint.unlink()


def _reversed(training: Training, vectors: dict[int, TrainedVector]) -> pd.DataFrame:
    """Return the mean validation loss at d = -1 after every epoch."""
    intervention = training.intervention(vectors)
    return pd.DataFrame(
        {
            "kind": "epoch",
            "seed": seed,
            "epoch": epoch,
            "validation_loss_reversed": training.measure(intervention, v, -1.0)["loss"].mean(),
        }
        for seed, vector in vectors.items()
        for epoch, v in enumerate(vector.epochs, start=1)
    )


def _answers(training: Training, config: Config, vectors: dict[int, TrainedVector], ends: pd.DataFrame) -> pd.DataFrame:
    """Return questions answered by the unsteered model and after some epochs, early ones closer together.

    Args:
        ends: logged rows of the epochs.
    """
    settings, intervention = config.studies.convergence, training.intervention(vectors)
    few = settings.answered_epochs
    epochs = sorted({round(epoch) for epoch in np.geomspace(1, settings.epochs, few)}) if few > 1 else [settings.epochs]
    asked = [(seed, epoch) for seed in vectors for epoch in epochs]
    steered = [Condition(intervention, vectors[seed].epochs[epoch - 1], config.train.steer_bos) for seed, epoch in asked]
    at = ends.set_index(["seed", "epoch"])
    items: dict[str, pd.DataFrame | None] = {"validation": None}
    if settings.train_facts:
        items["train"] = training.training_items(settings.train_facts)
    frames: list[pd.DataFrame] = []
    for split, questions in items.items():
        unsteered, *answers = training.answers([Condition(), *steered], questions)
        frames.append(unsteered.assign(kind="answer", split=split, epoch=0, step=0, displacement=0.0))
        for (seed, epoch), frame in zip(asked, answers, strict=True):
            where = {name: at.loc[(seed, epoch), name] for name in ("step", "displacement")}
            frames.append(frame.assign(kind="answer", split=split, seed=seed, epoch=epoch, **where))
    return pd.concat(frames)


if __name__ == "__main__":
    run(main)
