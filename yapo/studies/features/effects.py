"""Effects of a steering vector on features of the autoencoder, over texts that the frozen model has read.

A sparse vector (SAS, YaPO) adds u = λv to the codes s (YaPO eq. 3), so that feature j adds ReLU(s_j + u_j) - s_j times its
decoder row. Its *effect* is the mean signed length of what it adds, over tokens t:

    e_j = mean_t[ReLU(s_tj + u_j) - s_tj] · ‖W_dec[j]‖                                     (sparse)

A positive v_j thus adds λv_j at every token; a negative one can only take away what is there. A dense vector (CAA, BiPO) speaks
of no feature; it is encoded by what it does to the codes of the residual stream h:

    e_j = mean_t[Enc(h_t + u)_j - Enc(h_t)_j] · ‖W_dec[j]‖                                 (dense)

Both are in units of the residual stream. Most s_tj are 0, where the sparse bracket is ReLU(u_j) whatever the token, so that
``sparse_effects`` sums over the entries that fire alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import DENSE_CODES, SAE
from yapo.steering.activations import ActivationStore
from yapo.steering.interventions import Intervention
from yapo.steering.vector import SteeringVector


@dataclass(frozen=True)
class Texts:
    """Prompts with their gold answers, token after token, all but the first token of each (BOS, in most models).

    All but ``hidden`` stays on the CPU, where sums over entries come out the same every time.

    Attributes:
        hidden: residual stream after the steered block, unsteered, float32 ``[tokens, d_model]``, on the autoencoder's device.
        ids: vocabulary ids, ``[tokens]``.
        pair: row of the store that each token comes from, ``[tokens]``.
        place: its position in its text, ``[tokens]``.
        token, feature, value: entries of the codes that are above 0: which token, which feature, how much; ``[entries]``.
    """

    hidden: Tensor
    ids: Tensor
    pair: Tensor
    place: Tensor
    token: Tensor
    feature: Tensor
    value: Tensor

    @classmethod
    def of(cls, store: ActivationStore, rows: Sequence[int], device: torch.device | str = "cpu") -> Texts:
        """Return the prompt and chosen answer of some pairs of a store; the rejected answer is left out."""
        hidden, ids, pair, place, token, feature, value = [], [], [], [], [], [], []
        tokens = 0
        for row in rows:
            end = len(store.pairs[row].prompt) + len(store.pairs[row].chosen) - 1
            codes, offsets = store.codes[row], store.codes[row].offsets()
            kept = slice(int(offsets[1]), int(offsets[end]))
            hidden.append(store.hidden[row][1:end].float())
            ids.append(torch.tensor(store.pairs[row].tokens[1:end]))
            pair.append(torch.full((end - 1,), row))
            place.append(torch.arange(1, end))
            token.append(torch.arange(tokens, tokens + end - 1).repeat_interleave(codes.counts[0, 1:end].long()))
            feature.append(codes.ids[kept].long())
            value.append(codes.values[kept])
            tokens += end - 1
        return cls(torch.cat(hidden).to(device), *(torch.cat(parts) for parts in (ids, pair, place, token, feature, value)))

    def __len__(self) -> int:
        return len(self.ids)

    def firing(self, d_sae: int) -> Tensor:
        """Return the share of the tokens on which each feature fires, ``[d_sae]``."""
        return torch.bincount(self.feature, minlength=d_sae).float() / len(self)

    def mean_activation(self, d_sae: int) -> Tensor:
        """Return the mean code of each feature over all tokens, ``[d_sae]``."""
        return torch.zeros(d_sae).index_add_(0, self.feature, self.value) / len(self)


def intervention_of(vector: SteeringVector, sae: SAE) -> tuple[Intervention, Tensor]:
    """Return the intervention of a vector and the scaled vector u = λv at the λ chosen on validation.

    Raises:
        YapoError: a sparse vector of another autoencoder.
    """
    u = (vector.info.multiplier * vector.values.float()).to(sae.W_dec.device)
    return vector.intervention(sae.d_model, lambda _: sae), u


@dataclass(frozen=True)
class VectorEffects:
    """Effects of a vector on some texts.

    Attributes:
        vector: the vector, at the λ chosen on validation.
        effect: of every feature, ``[d_sae]``.
        change: mean change of the residual stream, ``[d_model]``; see ``direction``.
        top: its strongest features, strongest first.
    """

    vector: SteeringVector
    effect: Tensor
    change: Tensor
    top: Tensor


def measure_effects(vector: SteeringVector, sae: SAE, texts: Texts, top: int) -> VectorEffects:
    """Measure a vector on texts."""
    effect = effects(vector, sae, texts)
    return VectorEffects(vector, effect, mean_change(vector, sae, effect), strongest_features(effect, top))


def effects(vector: SteeringVector, sae: SAE, texts: Texts) -> Tensor:
    """Return the effect e_j of every feature (module docstring), at the vector's own λ: ``[d_sae]`` on the CPU."""
    _, u = intervention_of(vector, sae)
    if vector.space.of_features:
        return sparse_effects(texts, u, sae, vector.info.threshold)
    return dense_effects(texts, u, sae)


def sparse_effects(texts: Texts, u: Tensor, sae: SAE, threshold: str) -> Tensor:
    """Return the effects of adding ``u [d_sae]`` to the codes; ``threshold`` follows the addition: "relu" or "jumprelu"."""
    u, theta = u.cpu(), _theta(sae, threshold)
    silent = _activate(u, theta)
    feature = texts.feature
    there = _activate(texts.value + u[feature], None if theta is None else theta[feature]) - texts.value
    total = (silent * len(texts)).index_add_(0, feature, there - silent[feature])
    return total / len(texts) * _lengths(sae)


def dense_effects(texts: Texts, u: Tensor, sae: SAE) -> Tensor:
    """Return the effects of adding ``u [d_model]`` to the residual stream, from a bounded number of codes at a time."""
    after = torch.zeros(sae.d_sae, device=u.device)
    for hidden in torch.split(texts.hidden, max(1, DENSE_CODES // sae.d_sae)):
        after += sae.encode(hidden + u).sum(dim=0)
    return (after.cpu() / len(texts) - texts.mean_activation(sae.d_sae)) * _lengths(sae)


def mean_change(vector: SteeringVector, sae: SAE, effect: Tensor) -> Tensor:
    """Return the mean change of the residual stream, ``[d_model]``.

    λv for a dense vector; Σ_j e_j·W_dec[j] / ‖W_dec[j]‖ for a sparse one: v through the decoder, of which ReLU lets through
    what the codes of the texts allow.
    """
    if not vector.space.of_features:
        return intervention_of(vector, sae)[1]
    return effect.to(sae.W_dec.device) @ torch.nn.functional.normalize(sae.W_dec, dim=1)


def steered(vector: SteeringVector, sae: SAE, texts: Texts) -> Tensor:
    """Return the residual stream of the texts during steering, ``[tokens, d_model]``."""
    intervention, u = intervention_of(vector, sae)
    every = torch.ones(1, len(texts), dtype=torch.bool, device=u.device)
    return texts.hidden + intervention.changes(texts.hidden[None], u, every)


def activations(sae: SAE, hidden: Tensor, features: Tensor) -> Tensor:
    """Return the codes of some features on ``hidden [tokens, d_model]``: ``[tokens, features]``."""
    if sae.activation != "topk":  # features of topk compete, so that all must be encoded
        return sae.columns(features).encode(hidden)
    return torch.cat([sae.encode(part)[:, features] for part in torch.split(hidden, max(1, DENSE_CODES // sae.d_sae))])


def strongest_features(effect: Tensor, top: int) -> Tensor:
    """Return the ``top`` features of largest absolute effect, largest first; fewer where fewer have any."""
    order = effect.abs().argsort(descending=True, stable=True)[:top]
    return order[effect[order] != 0]


def effective_number(effect: Tensor) -> float:
    """Return the participation ratio of the effects, (Σ|e_j|)² / Σ e_j²: n for n equal effects, and 0 where there is none."""
    squares = float(effect.square().sum())
    return float(effect.abs().sum()) ** 2 / squares if squares > 0 else 0.0


def controls(firing: Tensor, features: Tensor, seed: int, near: int = 20) -> Tensor:
    """Draw for each of ``features`` another one that fires about as often, among the ``near`` nearest: ``[features]``.

    Only features that fire at all and are none of ``features`` are drawn.

    Raises:
        YapoError: there is no such feature.
    """
    free = firing > 0
    free[features] = False
    candidates = free.nonzero()[:, 0]
    if len(candidates) == 0:
        raise YapoError(
            f"studies.features.top={len(features)}: no other feature fires on these texts to compare with; lower it, "
            "or use a wider autoencoder"
        )
    generator = torch.Generator().manual_seed(seed)
    distance = (firing[candidates][None] - firing[features][:, None]).abs()
    nearest = distance.argsort(dim=1, stable=True)[:, :near]
    drawn = torch.randint(nearest.shape[1], (len(features), 1), generator=generator)
    return candidates[nearest.gather(1, drawn)[:, 0]]


def _lengths(sae: SAE) -> Tensor:
    """Return the lengths of the decoder rows, ``[d_sae]`` on the CPU."""
    lengths: Tensor = torch.linalg.vector_norm(sae.W_dec, dim=1).cpu()
    return lengths


def _theta(sae: SAE, threshold: str) -> Tensor | None:
    """Return the autoencoder's thresholds, or None for a plain ReLU."""
    return sae.threshold.cpu() if threshold == "jumprelu" and sae.threshold is not None else None


def _activate(x: Tensor, theta: Tensor | None) -> Tensor:
    return torch.relu(x) if theta is None else x * (x > theta)
