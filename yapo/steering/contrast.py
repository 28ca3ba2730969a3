"""The residual stream at the places that the mean-difference methods (CAA, SAS) read.

``answer``: at the first token in which chosen and rejected differ, after the same prompt. For a multiple-choice answer that
is the option's number, the place CAA (arXiv 2312.06681) reads.
``prompt``: at the last prompt token, of the prompt that names the country (positive) and of the one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.steering.activations import ActivationStore
from yapo.steering.method import FitInputs
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import TrainedVector

Contrast = Literal["answer", "prompt"]


def contrast_vectors(
    inputs: FitInputs, contrast: Contrast, find: Callable[[Tensor, Tensor], Tensor], **decided: Any
) -> dict[str, TrainedVector]:
    """Return the vector of each set that a closed form finds, as one epoch, ``[1, width]``.

    Args:
        inputs: of the method.
        contrast: where the residual stream is read.
        find: takes the states of the positive and of the negative side in float32, each ``[n, d_model]``, on the autoencoder's
            device, and returns the vector.
        decided: see ``FitInputs.vector``.
    """
    vectors, device = {}, inputs.sae.W_dec.device
    for part in inputs.sets:
        positive, negative = (side.to(device).float() for side in contrast_states(inputs, part, contrast))
        vectors[part.name] = inputs.vector(part, find(positive, negative)[None], **decided)
    return vectors


def contrast_states(inputs: FitInputs, part: TrainSet, contrast: Contrast) -> tuple[Tensor, Tensor]:
    """Return the states of the positive and of the negative side, each ``[n, d_model]``, over the training pairs of a set."""
    if contrast == "prompt":
        return _prompt_states(inputs)
    states = answer_states(inputs.store, part.train)
    if states is None:
        raise YapoError(
            f"{part.name}: in no training pair do chosen and rejected differ before their last token; use contrast=prompt"
        )
    return states


def answer_states(store: ActivationStore, rows: Sequence[int]) -> tuple[Tensor, Tensor] | None:
    """Return the states at the first token in which chosen and rejected differ, each ``[n, d_model]``; None where none do."""
    positive, negative = [], []
    for i in rows:
        pair, hidden = store.pairs[i], store.hidden[i]
        k = first_difference(pair)
        if k is not None:
            positive.append(hidden[len(pair.prompt) + k])
            negative.append(hidden[len(pair.prompt) + len(pair.chosen) - 1 + k])
    return (torch.stack(positive), torch.stack(negative)) if positive else None


def first_difference(pair: TokenPair) -> int | None:
    """Return the index of the first answer token that differs, or None if one answer is the beginning of the other."""
    for k, (w, l) in enumerate(zip(pair.chosen[:-1], pair.rejected[:-1], strict=False)):  # noqa: E741
        if w != l:
            return k
    return None


def _prompt_states(inputs: FitInputs) -> tuple[Tensor, Tensor]:
    rows = inputs.rows[inputs.rows["split"] == "train"]
    sides = [
        rows[rows["variant"] == variant].set_index(["question_id", "phrasing"]).index for variant in ("localized", "nonlocalized")
    ]
    common = sides[0].intersection(sides[1]).sort_values()
    if not len(common):
        raise YapoError("no training question has both a localized and a non-localized form; use contrast=answer")
    keyed = {(r.variant, r.question_id, r.phrasing): int(r.Index) for r in rows.itertuples()}  # type: ignore[arg-type]
    states = [
        torch.stack([_last_prompt_state(inputs, keyed[variant, question, phrasing]) for question, phrasing in common])
        for variant in ("localized", "nonlocalized")
    ]
    return states[0], states[1]


def _last_prompt_state(inputs: FitInputs, row: int) -> Tensor:
    return inputs.store.hidden[row][len(inputs.store.pairs[row].prompt) - 1]
