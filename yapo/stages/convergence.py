"""Stage ``convergence``: ``country``'s vectors by ``method``, trained at several learning rates and from several seeds."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from yapo.config import Config
from yapo.evaluation.generate import Condition
from yapo.files import write_parquet
from yapo.stages.app import run
from yapo.stages.trainings import Bench, Cell, check_study_methods

log = logging.getLogger(__name__)
NAME = "convergence"

COLUMNS = [
    "language", "country", "task", "setting", "method", "lr", "seed", "kind", "step", "epoch", "d", "loss", "margin", "norm",
    "displacement", "l0", "validation_loss", "validation_loss_reversed", "variant", "question_id", "phrasing", "score",
    "parsed", "exact",
]  # fmt: skip


def main(config: Config) -> None:
    """Writes ``studies/convergence_<method>.parquet`` for ``country``. Three kinds of rows:

    step: minibatch loss, direction d, margin, norm, and the displacement of the residual stream by d·v.
    epoch: validation loss at d = 1 and, ``reversed``, at d = -1; displacement of the validation pairs by v; norm; l0.
    answer: one validation item answered at multiplier 1 by the vector of that epoch; step 0 is the unsteered model.
    """
    check_study_methods(config)
    settings = config.studies.convergence
    bench = Bench.open(config, f"{NAME}_{config.method.name}")
    frames, checkpoints = list[pd.DataFrame](), []
    with bench.answerer.cache:
        for task in settings.tasks:
            cell = bench.cell(task, settings.setting)
            for lr in dict.fromkeys(settings.learning_rates):
                checkpoints.append(bench.path.with_name(f"{bench.path.stem}-{task}-{lr:g}.checkpoint.safetensors"))
                train = replace(config.train, lr=lr, epochs=settings.epochs)
                vectors, rows = cell.fit(train, config.method.options, settings.seeds, checkpoints[-1])
                reversed_losses = _reversed(cell, config, vectors)
                answers = _answers(cell, config, vectors, steps=rows[rows["kind"] == "epoch"])
                frames += [
                    part.assign(task=task, setting=settings.setting, lr=lr)
                    for part in (rows.merge(reversed_losses, on=["kind", "seed", "epoch"], how="left"), answers)
                ]
                log.info("%s %s %s: learning rate %g", config.country, config.method.name, task, lr)
    write_parquet(bench.path, pd.concat(frames, ignore_index=True).assign(**bench.place)[COLUMNS])
    for checkpoint in checkpoints:
        checkpoint.unlink()


def _reversed(cell: Cell, config: Config, vectors: dict[int, Tensor]) -> pd.DataFrame:
    """Mean validation loss at d = -1 after every epoch."""
    intervention = cell.intervention(config.method.options)
    return pd.DataFrame(
        {
            "kind": "epoch",
            "seed": seed,
            "epoch": epoch,
            "validation_loss_reversed": cell.pairs(intervention, v, -1.0)["loss"].mean(),
        }
        for seed, epochs in vectors.items()
        for epoch, v in enumerate(epochs, start=1)
    )


def _answers(cell: Cell, config: Config, vectors: dict[int, Tensor], steps: pd.DataFrame) -> pd.DataFrame:
    """Validation items answered by the unsteered model and after some epochs, early ones closer together."""
    settings, intervention = config.studies.convergence, cell.intervention(config.method.options)
    epochs = sorted({round(epoch) for epoch in np.geomspace(1, settings.epochs, settings.answered_epochs)})
    asked = [(seed, epoch) for seed in vectors for epoch in (0, *epochs)]
    conditions = [
        Condition(intervention, vectors[seed][epoch - 1], config.train.steer_bos) if epoch else Condition()
        for seed, epoch in asked
    ]
    ends = {(int(seed), int(epoch)): int(step) for seed, epoch, step in steps[["seed", "epoch", "step"]].to_numpy()}
    frames: list[pd.DataFrame] = []
    for (seed, epoch), frame in zip(asked, cell.answers(conditions), strict=True):
        frames.append(frame.assign(kind="answer", seed=seed, epoch=epoch, step=ends.get((seed, epoch), 0)))
    return pd.concat(frames)


if __name__ == "__main__":
    run(main)
