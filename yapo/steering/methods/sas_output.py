"""SAS without the features that hardly reach the model's output (output scores, arXiv 2505.20063).

As described in its abstract and read from its authors' code. A feature's tokens are the 20 that its decoder row raises most (the
logit lens). The model reads a neutral text; at its last token the feature is raised by 10 times the strongest activation there.
Of the distribution p over the next token that follows,

    score = (1 - best rank of the feature's tokens / size of the vocabulary) · largest p of them,    ranks from 0

SAS's vector keeps the features that score at least ``min_score``. The published use ranks features of a concept, each of which is
steered alone; the filter on a vector of many, its threshold, and that the best feature stays where none reaches it, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.checks import require
from yapo.models.sae import SAE
from yapo.steering.contrast import contrast_vectors
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods import sas
from yapo.steering.spaces import SPARSE
from yapo.steering.vector import TrainedVector

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

ROWS = 64  # features of one forward pass


@dataclass(frozen=True)
class Options(sas.Options):
    """``method.options``: SAS's, and those of the filter.

    Attributes:
        min_score: the least output score of a feature.
        tokens: how many tokens stand for a feature.
        strength: how far it is raised, in strongest activations.
        neutral: the text that the model reads.
    """

    min_score: float
    tokens: int
    strength: float
    neutral: str

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.min_score <= 1, "method.options.min_score", self.min_score, "a score from 0 to 1")
        require(self.tokens > 0, "method.options.tokens", self.tokens, "at least 1")
        require(0 < self.strength < inf, "method.options.strength", self.strength, "above 0, not infinite")
        require(bool(self.neutral.strip()), "method.options.neutral", repr(self.neutral), "give a text")


class SASOutput:
    """Keeps of SAS's features those that change what is said."""

    space = SPARSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_sae]`` for each set."""
        options, sae = read_options(Options, inputs.options), inputs.sae

        def find(positive: Tensor, negative: Tensor) -> Tensor:
            v = sas.sas_vector(sae.encode(positive), sae.encode(negative), options.tau)
            features = v.nonzero().flatten()
            if not len(features):
                return v
            lm = inputs.models.language_model(0)
            scores = output_scores(lm, inputs.layer, sae.to(lm.device), features.tolist(), options).to(v.device)
            kept = features[scores >= min(options.min_score, float(scores.max()))]
            return torch.zeros_like(v).index_copy(0, kept, v[kept])

        return contrast_vectors(inputs, options.contrast, find, threshold=options.threshold)


@torch.no_grad()
def output_scores(lm: LanguageModel, layer: int, sae: SAE, features: list[int], options: Options) -> Tensor:
    """Return the output score of some features, float32 ``[features]`` on the CPU.

    Args:
        lm: the whole model.
        layer: 0-based block whose output the autoencoder reads.
        sae: on the model's device.
        features: their numbers.
        options: ``tokens``, ``strength`` and ``neutral``.
    """
    from yapo.models.language_model import causal  # imports transformers, which other methods never need
    from yapo.models.logit_lens import token_logits

    ids = torch.tensor([lm.tokenizer.text(options.neutral)], device=lm.device)
    positions, allowed = causal(torch.ones_like(ids, dtype=torch.bool))
    state = lm.blocks(lm.embed(ids), 0, layer + 1, positions, lm.masks(allowed, positions, positions))
    raised = options.strength * sae.encode(state[0, -1:].float()).max() * sae.W_dec[features].float()
    tokens = token_logits(lm, sae.W_dec[features]).topk(options.tokens, dim=1).indices
    scores = []
    for own, directions in zip(torch.split(tokens, ROWS), torch.split(raised, ROWS), strict=True):
        rows, at = state.repeat(len(own), 1, 1), positions.expand(len(own), -1)
        rows[:, -1] += directions.to(rows.dtype)
        masks = lm.masks(allowed.expand(len(own), -1, -1), at, at)
        written = lm.blocks(rows, layer + 1, lm.n_layers, at, masks, read=at[:, -1:])
        p = lm.logits(written[:, 0]).softmax(dim=-1).cpu()
        best = p.gather(1, own).max(dim=1).values
        rank = (p > best[:, None]).sum(dim=1)
        scores.append((1 - rank / p.shape[1]) * best)
    return torch.cat(scores)


METHOD = SASOutput()
