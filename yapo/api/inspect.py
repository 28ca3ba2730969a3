"""The content of a vector: its size, its strongest features, the tokens that it writes; and how far two vectors agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.spaces import SAESlice
from yapo.steering.vector import SteeringVector

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

TOKENS = 8  # shown of each direction


@dataclass(frozen=True)
class Direction:
    """A direction of the residual stream that a vector adds.

    Attributes:
        feature: of the autoencoder; None for a dense vector as a whole.
        size: λ times the entry times the length of the decoder row, or the length of a dense λv; negative where the feature is
            taken away.
        tokens: those that it raises most; empty without a model.
    """

    feature: int | None
    size: float
    tokens: tuple[str, ...]


def decoder_of(vector: SteeringVector, sae: SAE | None) -> tuple[Tensor, Tensor]:
    """Return the features of a sparse vector's entries, ``[n]``, and their decoder rows, ``[n, d_model]``.

    Raises:
        YapoError: the vector carries no features, and no autoencoder is given, or another one.
    """
    payload = vector.payload
    if isinstance(payload, SAESlice):
        return payload.features, payload.sae.W_dec
    if sae is None:
        raise YapoError(f"the features stand in the autoencoder {vector.info.sae}; give sae=")
    if sae.digest != vector.info.sae_digest:
        raise YapoError(f"the vector was trained with the autoencoder {vector.info.sae}, not {sae.source}; give that one")
    return torch.arange(sae.d_sae), sae.W_dec.cpu()


def directions(vector: SteeringVector, top: int, sae: SAE | None = None, lm: LanguageModel | None = None) -> list[Direction]:
    """Return what a vector adds, strongest first, at its own λ.

    Args:
        vector: dense or sparse.
        top: how many features of a sparse vector.
        sae: its autoencoder, where it does not carry its features.
        lm: the model, for the tokens.

    Raises:
        YapoError: see ``decoder_of``; or the vector's edit depends on the prompt.
    """
    if vector.space.reads_prompt:
        raise YapoError(f"space={vector.info.space}: what it adds depends on the prompt; there are no features of its own")
    u = vector.info.multiplier * vector.values.float()
    if not vector.space.of_features:
        found: list[tuple[int | None, float, Tensor]] = [(None, float(u.norm()), u)]
    else:
        features, rows = decoder_of(vector, sae)
        sizes = u * rows.norm(dim=1)
        order = sizes.abs().argsort(descending=True, stable=True)[:top]
        strongest = [i for i in order.tolist() if float(sizes[i]) != 0]
        found = [(int(features[i]), float(sizes[i]), torch.sign(u[i]) * rows[i]) for i in strongest]
    words: list[list[str]] = [[]] * len(found)
    if lm is not None and found:
        from yapo.models.logit_lens import raised_tokens  # imports transformers, which a vector alone does not need

        words = raised_tokens(lm, torch.stack([d for *_, d in found]), TOKENS)
    return [Direction(feature, size, tuple(tokens)) for (feature, size, _), tokens in zip(found, words, strict=True)]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two vectors.

    Attributes:
        cosine: of their entries.
        shared: features among the strongest of both, in order; empty for dense vectors.
        top: how many of each were looked at.
    """

    cosine: float
    shared: tuple[int, ...]
    top: int


def compare(v: SteeringVector, w: SteeringVector, top: int = 20) -> Agreement:
    """Return how far two vectors of one model, layer, space and autoencoder agree.

    Raises:
        YapoError: they are of different ones.
    """
    for name in ("model_digest", "layer", "space", "sae_digest"):
        ours, theirs = getattr(v.info, name), getattr(w.info, name)
        if ours != theirs:
            raise YapoError(f"{name}: {ours} and {theirs}; only vectors of one can be compared")
    if v.values.shape != w.values.shape:
        raise YapoError(
            f"{v.entries} and {w.entries} entries: they carry different features; compare the vectors they were cut from"
        )
    cosine = float(cosine_similarity(v.values.float(), w.values.float(), dim=0))
    if not v.space.of_features:
        return Agreement(cosine, (), top)
    first, second = (one.values.abs().argsort(descending=True, stable=True)[:top].tolist() for one in (v, w))
    touched = {i for i in second if float(w.values[i]) != 0}
    return Agreement(cosine, tuple(i for i in first if i in touched and float(v.values[i]) != 0), top)
