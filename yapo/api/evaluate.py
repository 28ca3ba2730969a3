"""Accuracy on preference pairs without steering, under a vector and under a random control."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from yapo.api.models import opened_model, opened_sae, own_names
from yapo.api.pairs import Pairs, read_pairs
from yapo.checks import Dtype
from yapo.data.text import text_key
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import fact_weights
from yapo.evaluation.displacement import random_control
from yapo.models.sae import SAE
from yapo.models.sae_places import find_sae
from yapo.steering.activations import ActivationStore, build_store, silent_sae
from yapo.steering.objective import steered_log_probs
from yapo.steering.prepare import token_pairs
from yapo.steering.steer_checks import check_model, scaled_vector, strength_of
from yapo.steering.vector import SteeringVector

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 16  # pairs of one forward pass
RESAMPLES = 2000
CONFIDENCE = (2.5, 97.5)  # percentiles
Condition = Literal["unsteered", "steered", "random"]


@dataclass(frozen=True)
class Accuracy:
    """The share of pairs whose chosen answer is likelier, a token, than the rejected one.

    Attributes:
        condition: what steers the model. The control is a random direction that moves the states as far as the vector does.
        accuracy: between 0 and 1, with its 95 % bootstrap interval over prompts, ``low`` to ``high``.
        n: how many pairs.
        displacement: mean norm of what steering adds, as a share of the states' norm.
    """

    condition: Condition
    accuracy: float
    low: float
    high: float
    n: int
    displacement: float


def evaluate(
    model: PreTrainedModel | Path | str,
    vector: SteeringVector,
    pairs: Pairs,
    multiplier: float | None = None,
    sae: SAE | Path | str | None = None,
    *,
    seed: int = 0,
    max_prompt_tokens: int = 2048,
    dtype: Dtype = "float32",
    device: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Accuracy]:
    """Measure a vector on preference pairs that it was not trained on.

    Examples:
        >>> import yapo
        >>> pairs = [{"prompt": f"What is {n}?", "chosen": f"It is a number: {n}.", "rejected": f"{n}."} for n in range(10, 20)]
        >>> vector = yapo.train("world/model", pairs, layer=2)
        >>> other = [{**pair, "prompt": pair["prompt"].replace("is", "was")} for pair in pairs]
        >>> [(found.condition, found.n) for found in yapo.evaluate("world/model", vector, other)]
        [('unsteered', 10), ('steered', 10), ('random', 10)]

    Args:
        model: as ``yapo.train`` takes it, and ``dtype``, ``device``, ``tokenizer`` with it.
        vector: dense or sparse.
        pairs: as ``yapo.train`` takes them.
        multiplier: λ; that of the header if None.
        sae: the autoencoder of a sparse vector; found by its digest if None.
        seed: of the random direction and of the bootstrap.
        max_prompt_tokens: pairs with a longer prompt are left out.

    Returns:
        One entry a condition.

    Raises:
        YapoError: the pairs, the model or the autoencoder do not fit, or the vector's edit depends on the prompt.
    """
    with own_names():
        if vector.space.reads_prompt:
            raise YapoError(f"space={vector.info.space}: its edit depends on the prompt; measure it in a study")
        frame, _ = read_pairs(pairs)
        with opened_model(model, tokenizer, vector.info.extra.get("plain") is True, dtype, device) as lm:
            check_model(lm.model, vector)
            rows, tokens, _ = token_pairs(lm, frame, max_prompt_tokens)
            if not tokens:
                raise YapoError(f"max_prompt_tokens={max_prompt_tokens}: no pair is left; raise it")
            info, layer = vector.info, vector.info.layer

            def autoencoder(_: int) -> SAE:
                given = None if sae is None else opened_sae(sae, lm.device)
                return given or find_sae(info.sae, info.sae_digest, vector.file, lm.device)

            edit = vector.intervention(lm.d_model, autoencoder, lm.device)
            u = scaled_vector(vector, strength_of(multiplier, vector), edit.width).to(lm.device)
            store = build_store(lm, layer, silent_sae(lm.d_model).to(lm.device), tokens, BATCH)
            every = list(range(len(tokens)))
            moved = [
                edit.displacement(states[None, 1:].to(lm.device), u, torch.ones(1, len(states) - 1, dtype=torch.bool))
                for states in store.hidden
            ]
            mean_moved = sum(moved) / len(moved)
            control = random_control([mean_moved], lm.d_model, seed)
            assert control.intervention is not None and control.u is not None
            found: dict[Condition, Tensor] = {
                "unsteered": store.reference,
                "steered": steered_log_probs(lm, edit, store, every, u, BATCH),
                "random": steered_log_probs(lm, control.intervention, store, every, control.u, BATCH),
            }
    prompts = [text_key(prompt) for prompt in rows["prompt"]]
    return [
        Accuracy(
            name,
            *_accuracy(store, under, prompts, seed),
            len(tokens),
            0.0 if name == "unsteered" else mean_moved / store.mean_norm,
        )
        for name, under in found.items()
    ]


def _accuracy(store: ActivationStore, log_probs: Tensor, prompts: list[str], seed: int) -> tuple[float, float, float]:
    """Return the accuracy and its interval, from log-probabilities ``[pairs, 2]``."""
    lengths = torch.tensor([[len(pair.chosen), len(pair.rejected)] for pair in store.pairs])
    by_token = log_probs / lengths
    right = (by_token[:, 0] > by_token[:, 1]).numpy().astype(float)
    names = {name: place for place, name in enumerate(dict.fromkeys(prompts))}
    of_prompt = np.array([names[prompt] for prompt in prompts])
    hits, counts = np.bincount(of_prompt, right), np.bincount(of_prompt).astype(float)
    weights = fact_weights(len(names), RESAMPLES, seed)[1:]
    low, high = np.percentile((weights @ hits) / (weights @ counts), CONFIDENCE)
    return float(right.mean()), float(low), float(high)
