"""Train the tiny model's sparse autoencoders: SAELens' BatchTopK trainer, saved as a JumpReLU SAELens folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.files import read_json, replacing, write_json
from yapo.models.sae import CONFIG_FILE, SAE, WEIGHTS_FILE, load_sae

# Every tenth run of rows is held out. Neighbouring rows come from one document and resemble each other, so that single
# held-out rows would look better than rows of documents never trained on.
RUN, EVERY = 256, 10


@dataclass(frozen=True)
class SaeConfig:
    """Shape and training schedule of one autoencoder.

    Attributes:
        seed: of the initial weights and the order of the rows.
        width: number of features.
        k: features kept per row, on average over a batch.
        steps: training steps.
        batch: rows a step.
        lr: peak learning rate of Adam, for rows scaled to norm sqrt(d_model).
        warmup: steps of linear warm-up.
        decay: last steps, over which the learning rate falls linearly to zero.
        dead_after: steps without firing after which a feature is trained to explain what the live ones leave.
    """

    seed: int = 7
    width: int = 1024
    k: int = 16
    steps: int = 2000
    batch: int = 1024
    lr: float = 8e-3
    warmup: int = 100
    decay: int = 1500
    dead_after: int = 20


@dataclass(frozen=True)
class SaeReport:
    """Quality of an autoencoder on rows it was not trained on.

    Attributes:
        explained_variance: 1 - Σ|h - ĥ|² / Σ|h - mean(h)|².
        mean_l0: active features per row.
        dead_fraction: share of the features active on none of the rows.
        n_tokens: rows measured.
    """

    explained_variance: float
    mean_l0: float
    dead_fraction: float
    n_tokens: int


def train_sae(activations: Tensor, config: SaeConfig, folder: Path, model_name: str, layer: int) -> SaeReport:
    """Train on nine tenths of the rows, write ``folder`` in SAELens' format, and measure on the others.

    Rows are centred by the initial decoder bias and scaled to a mean norm of sqrt(d_model) for training; the scale is
    folded into the weights saved. The result is the same for the same rows, configuration and thread count.

    Args:
        activations: residual stream after block ``layer``, float32, ``[n, d_model]``, document after document, BOS
            positions left out.
        config: shape and schedule.
        folder: where ``cfg.json`` and ``sae_weights.safetensors`` go.
        model_name: recorded in ``cfg.json``.
        layer: 0-based block, recorded in ``cfg.json``.

    Raises:
        YapoError: fewer training rows than one batch, or none to measure on.
    """
    # sae-lens takes seconds to import, and SaeConfig is read by programs that train nothing.
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig, SAETrainer
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata

    kept_out = torch.arange(len(activations)) // RUN % EVERY == EVERY - 1
    held_out, rows = activations[kept_out], activations[~kept_out]
    needed = max(config.batch, RUN * EVERY)
    if len(rows) < needed:
        raise YapoError(f"activations: {len(rows)} rows to train on, {needed} needed at {config.batch} a step; collect more rows")
    d_model = rows.shape[1]
    scale = d_model**0.5 / float(rows.norm(dim=-1).mean())

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        sae = BatchTopKTrainingSAE(
            BatchTopKTrainingSAEConfig(
                d_in=d_model,
                d_sae=config.width,
                k=config.k,
                metadata=SAEMetadata(
                    model_name=model_name,
                    hook_name=f"blocks.{layer}.hook_resid_post",
                    hook_layer=layer,
                    prepend_bos=True,
                ),
            )
        )
        sae.b_dec.data = scale * rows.mean(dim=0)
        trainer = SAETrainer(
            SAETrainerConfig(
                total_training_samples=config.steps * config.batch,
                train_batch_size_samples=config.batch,
                lr=config.lr,
                lr_end=config.lr,
                lr_warm_up_steps=config.warmup,
                lr_decay_steps=config.decay,
                dead_feature_window=config.dead_after,
            ),
            sae=sae,
            data_provider=_batches(rows, scale, config),
        )
        trainer.fit()
    sae.fold_activation_norm_scaling_factor(scale)

    with tempfile.TemporaryDirectory() as temporary:
        sae.save_inference_model(temporary)
        with replacing(folder / WEIGHTS_FILE) as weights:
            shutil.copyfile(Path(temporary) / WEIGHTS_FILE, weights)
        # SAELens writes the keys in the order of a set, which differs from process to process.
        write_json(folder / CONFIG_FILE, dict(sorted(read_json(Path(temporary) / CONFIG_FILE).items())))
    return measure(load_sae(folder), held_out)


@torch.no_grad()
def measure(sae: SAE, activations: Tensor) -> SaeReport:
    """Quality of ``sae`` on ``activations``, ``[n, d_model]``."""
    error, active, fired = 0.0, 0, torch.zeros(sae.d_sae, dtype=torch.bool)
    for rows in torch.split(activations, 8192):
        s = sae.encode(rows)
        error += float((rows - sae.decode(s)).double().pow(2).sum())
        active += int((s > 0).sum())
        fired |= (s > 0).any(dim=0)
    variance = float((activations - activations.mean(dim=0)).double().pow(2).sum())
    return SaeReport(
        explained_variance=1.0 - error / variance,
        mean_l0=active / len(activations),
        dead_fraction=1.0 - float(fired.float().mean()),
        n_tokens=len(activations),
    )


def _batches(rows: Tensor, scale: float, config: SaeConfig) -> Iterator[Tensor]:
    """Endless shuffled batches, ``[batch, d_model]``."""
    generator = torch.Generator().manual_seed(config.seed)
    while True:
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(order) - config.batch + 1, config.batch):
            yield scale * rows[order[start : start + config.batch]]
