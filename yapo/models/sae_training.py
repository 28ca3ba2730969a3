"""Train a sparse autoencoder on a model's residual stream: SAELens' BatchTopK trainer, saved as a JumpReLU SAELens folder."""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yapo.config import SaeTrainConfig
from yapo.errors import YapoError, require_extra
from yapo.files import read_json, replacing, scratch_folder, write_json
from yapo.models.language_model import LanguageModel, causal, pad_left
from yapo.models.sae import CONFIG_FILE, SAE, WEIGHTS_FILE, load_sae
from yapo.tensors import not_finite

log = logging.getLogger(__name__)
LOGGED = 100  # rows of a loss curve, at most
GIGABYTE = 10**9


def train_sae(
    states: Tensor, config: SaeTrainConfig, folder: Path, model_name: str, layer: int, device: str | torch.device = "cpu"
) -> tuple[SAE, list[dict[str, float]]]:
    """Train on states of a model and write ``folder`` in SAELens' format.

    States are centred by the initial decoder bias and scaled to a mean norm of sqrt(d_model) for training; the scale is folded
    into the weights saved. On a CPU the files are the same, byte for byte, for the same states, configuration and thread
    count. An interrupted training starts again: SAELens keeps its state as a pickle, and this project reads none.

    Args:
        states: residual stream after block ``layer``, float32, ``[n, d_model]``, BOS positions left out; may be a memory map,
            of which a step reads its own rows.
        config: shape and schedule.
        folder: where ``cfg.json`` and ``sae_weights.safetensors`` go.
        model_name: recorded in ``cfg.json``.
        layer: 0-based block, recorded in ``cfg.json``.
        device: where it trains.

    Returns:
        The autoencoder as read back from ``folder``, on the CPU, and its curve: ``step`` (from 1), ``tokens`` seen, ``loss``,
        ``explained_variance`` and ``l0`` of that step's batch, ``dead`` features, ``lr``.

    Raises:
        YapoError: fewer states than one batch, or the loss or the weights are no longer finite; nothing is written then.
    """
    require_extra("sae", "sae_lens")
    # It takes seconds to import, and this module is read by programs that train nothing.
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig, SAETrainer
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata

    if len(states) < config.batch_size:
        raise YapoError(
            f"sae.train.batch_size={config.batch_size}: only {len(states)} tokens to train on; give more data or lower it"
        )
    d_model = states.shape[1]
    scale = d_model**0.5 / float(states.norm(dim=-1).mean())

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
        sae.b_dec.data = scale * states.mean(dim=0)
        sae.to(torch.device(device))
        batches = _batches(states, scale, config)
        trainer = SAETrainer(
            SAETrainerConfig(
                total_training_samples=config.steps * config.batch_size,
                train_batch_size_samples=config.batch_size,
                lr=config.lr,
                lr_end=config.lr,
                lr_warm_up_steps=config.warmup_steps,
                lr_decay_steps=config.decay_steps,
                dead_feature_window=config.dead_after,
                device=str(device),
            ),
            sae=sae,
            data_provider=batches,
        )
        curve = _fit(trainer, batches, config)
    sae.to(torch.device("cpu")).fold_activation_norm_scaling_factor(scale)
    bad = not_finite(sae.state_dict().items())
    if bad is not None:
        raise _diverged(config, f"{bad} holds NaN or infinity after step {config.steps}")

    with scratch_folder(folder) as temporary:
        sae.save_inference_model(temporary)
        with replacing(folder / WEIGHTS_FILE) as weights:
            shutil.copyfile(temporary / WEIGHTS_FILE, weights)
        # SAELens writes the keys in the order of a set, which differs from process to process.
        write_json(folder / CONFIG_FILE, dict(sorted(read_json(temporary / CONFIG_FILE).items())))
    return load_sae(folder), curve


def choose_texts(texts: list[list[int]], max_tokens: int, seed: int) -> list[list[int]]:
    """Draw texts in the seed's order, as many as together have ``max_tokens`` tokens beside their first; at least one."""
    chosen, total = list[list[int]](), 0
    for i in np.random.default_rng(seed).permutation(len(texts)):
        total += len(texts[i]) - 1
        if chosen and total > max_tokens:
            break
        chosen.append(texts[i])
    return chosen


@torch.no_grad()
def residual_states(lm: LanguageModel, layer: int, texts: list[list[int]], batch_size: int, scratch: Path) -> Tensor:
    """Return the residual stream after a block at every token but the first of each text.

    It is kept in a nameless file of the folder ``scratch``, which the system frees when the tensor goes, or the process dies;
    memory holds one batch.

    Args:
        lm: the model.
        layer: 0-based block.
        texts: token ids, BOS first.
        batch_size: texts of one forward pass; texts of similar length go together.
        scratch: a folder on a disk with room for 4 * d_model bytes per token.

    Returns:
        float32 memory map ``[tokens, d_model]``, text after text, shorter texts first.

    Raises:
        YapoError: the disk is full, or the folder cannot be written.
    """
    tokens = sum(len(text) - 1 for text in texts)
    size = tokens * lm.d_model * 4
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=scratch) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and a crash when a memory map is written
            states = torch.from_numpy(np.memmap(file, np.float32, "r+", shape=(tokens, lm.d_model)))
    except OSError as error:
        raise YapoError(
            f"{scratch}: no room for {size / GIGABYTE:.3g} GB of states ({error.strerror});"
            f" free some or lower sae.train.max_tokens"
        ) from None
    done = 0
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), batch_size):
        ids, real = pad_left(ordered[start : start + batch_size], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        hidden = lm.blocks(lm.embed(ids), 0, layer + 1, positions, lm.masks(allowed, positions, positions))
        kept = hidden[real & (positions > 0)]
        states[done : done + len(kept)] = kept
        done += len(kept)
    return states


def _diverged(config: SaeTrainConfig, found: str) -> YapoError:
    return YapoError(f"sae.train.lr={config.lr}: {found}; lower it, or raise sae.train.warmup_steps={config.warmup_steps}")


def _fit(trainer: Any, batches: Iterator[Tensor], config: SaeTrainConfig) -> list[dict[str, float]]:
    """Run SAELens' ``fit`` from its public parts, keeping the curve and without a progress bar."""
    curve, steps = list[dict[str, float]](), config.steps
    every = max(1, steps // LOGGED)
    for step in range(1, steps + 1):
        trainer.maybe_reset_sparsity()
        lr = trainer.optimizer.param_groups[0]["lr"]
        output = trainer.step(next(batches))
        trainer.n_training_steps = step
        if step % every == 0 or step == steps:
            values = trainer.build_train_step_log_dict(output, trainer.n_training_samples)
            if not math.isfinite(values["losses/overall_loss"]):
                raise _diverged(config, f"the loss is {values['losses/overall_loss']} at step {step} of {config.steps}")
            curve.append(
                {
                    "step": step,
                    "tokens": trainer.n_training_samples,
                    "loss": values["losses/overall_loss"],
                    "explained_variance": values["metrics/explained_variance"],
                    "l0": values["metrics/l0"],
                    "dead": values["sparsity/dead_features"],
                    "lr": lr,
                }
            )
            if len(curve) % 10 == 0:
                log.info("step %d of %d: %s", step, steps, curve[-1])
    trainer.set_final_sae_metadata()
    return curve


def _batches(states: Tensor, scale: float, config: SaeTrainConfig) -> Iterator[Tensor]:
    """Yield shuffled batches without end, ``[batch_size, d_model]``."""
    generator = torch.Generator().manual_seed(config.seed)
    while True:
        order = torch.randperm(len(states), generator=generator)
        for start in range(0, len(order) - config.batch_size + 1, config.batch_size):
            yield scale * states[order[start : start + config.batch_size]]
