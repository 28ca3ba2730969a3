"""Floating-point operations of fitting DSPA: by the paper's accounting, and as it is run here.

The paper (arXiv 2603.21461, App. C) counts 2P operations per token of a forward pass, P the model's parameters, and leaves out
attention and autoencoders. For pairs with p prompt, c chosen and r rejected tokens it runs three passes, over the prompt, over
prompt and chosen answer, and over prompt and rejected answer: 2P Σ (3p + c + r). Since an answer cannot change what stands before
it, the first pass is contained in the others: 2P Σ (2p + c + r). And both answers can share one prompt: 2P Σ (p + c + r).

Here they do (``yapo.steering.pair_batch``), only blocks 0 to l_out run and no head, rows are padded, and answers go without
their end. Then the validation pairs run once more, to say how far the edit moves their answers; the map does not need that.
A multiplication and an addition count as two; norms, activations, softmax, inverses and counting are left out, as
torch's counter does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from yapo.models.sae import SAE
from yapo.steering.methods.dspa.map import MapInfo
from yapo.steering.methods.dspa.method import counted_pairs, prompt_counts
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.pair_batch import TokenPair, batch_pairs

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True)
class Tokens:
    """Sums over the pairs, ends of answers included."""

    pairs: int
    prompt: int
    chosen: int
    rejected: int

    @classmethod
    def of(cls, pairs: Sequence[TokenPair]) -> Tokens:
        """Count the tokens of some pairs."""
        sums = (sum(len(getattr(pair, name)) for pair in pairs) for name in ("prompt", "chosen", "rejected"))
        return cls(len(pairs), *sums)

    def accounted(self, parameters: int, prompt_passes: int) -> int:
        """Return 2P Σ (prompt_passes·p + c + r); the paper passes over each prompt three times."""
        return 2 * parameters * (prompt_passes * self.prompt + self.chosen + self.rejected)


@dataclass(frozen=True)
class FitCost:
    """Operations of making one map, by part.

    Attributes:
        linear: the weight matrices of blocks 0 to l_out, of which ``padding`` is spent on padding.
        attention: scores and weighted sums.
        encoders: both autoencoders, on the tokens that are counted.
        check: autoencoders on the first batch, to see that they fit the model.
    """

    linear: int
    padding: int
    attention: int
    encoders: int
    check: int

    @property
    def total(self) -> int:
        """Sum of all; padding is part of ``linear``."""
        return self.linear + self.attention + self.encoders + self.check


def fit_cost(
    lm: LanguageModel, pairs: Sequence[TokenPair], options: DspaOptions, sae_in: SAE, sae_out: SAE, batch_size: int
) -> FitCost:
    """Count the operations of ``yapo.steering.methods.dspa.method.count`` on these pairs.

    Args:
        lm: the model, with all its blocks.
        pairs: in the order in which they are counted.
        options: DSPA's.
        sae_in, sae_out: the autoencoders.
        batch_size: pairs of one forward pass.
    """
    weights, attended = _blocks(lm, options.layer_out)
    pairs = counted_pairs(pairs, options)
    linear = padding = attention = encoders = check = 0
    for start in range(0, len(pairs), batch_size):
        part = pairs[start : start + batch_size]
        batch = batch_pairs(part)
        rows, length = batch.real.shape
        linear += 2 * weights * rows * length
        padding += 2 * weights * int((~batch.real).sum())
        attention += attended * rows * length**2
        if start == 0:
            seen = int((batch.real & (batch.positions > 0)).sum())
            check = sum(4 * lm.d_model * sae.d_sae * seen for sae in (sae_in, sae_out))  # encoded and decoded
        content = sum(int(prompt_counts(lm, pair, options).sum()) for pair in part)
        answers = sum(len(pair.chosen) + len(pair.rejected) - 2 for pair in part)
        encoders += 2 * lm.d_model * (sae_in.d_sae * content + sae_out.d_sae * answers)
    return FitCost(linear, padding, attention, encoders, check)


def displacement_cost(lm: LanguageModel, pairs: Sequence[TokenPair], info: MapInfo, batch_size: int) -> int:
    """Count the operations of DSPA's ``mean_displacement`` on these pairs, for a map as ``info`` says."""
    weights, attended = _blocks(lm, info.layer_out)
    total = 0
    for start in range(0, len(pairs), batch_size):
        part = pairs[start : start + batch_size]
        length = max(len(pair.prompt) + len(pair.chosen) - 1 for pair in part)
        total += len(part) * (2 * weights * length + attended * length**2)
        for pair in part:
            ids = torch.tensor([pair.prompt + pair.chosen[:-1]])
            prompt = torch.arange(ids.shape[1])[None] < len(pair.prompt)
            content = int(info.counts(ids, prompt).sum())
            total += 2 * lm.d_model * (info.width_in * content + info.width_out * len(pair.chosen))
        if info.demix:  # M_S, and its inverse times 1
            total += len(part) * 2 * min(info.k_prompt, info.width_in) ** 2 * (info.pairs + 1)
    return total


def _blocks(lm: LanguageModel, layer_out: int) -> tuple[int, int]:
    """Count the matrix weights of blocks 0 to ``layer_out``, and operations of their attention for a pair of tokens in a row."""
    blocks = [lm.model.model.layers[layer] for layer in range(layer_out + 1)]
    weights = sum(parameter.numel() for block in blocks for parameter in block.parameters() if parameter.ndim == 2)
    heads = lm.model.config.num_attention_heads * blocks[0].self_attn.head_dim
    return weights, 4 * heads * len(blocks)  # q·kᵀ and p·v, masked keys included
