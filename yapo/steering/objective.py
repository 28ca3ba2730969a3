"""What training lowers on steered pairs: the bi-directional preference objective of BiPO and YaPO, and room for others.

    m    = [log π_v(y_w|x) - log π_v(y_l|x)] - [log π_0(y_w|x) - log π_0(y_l|x)]
    loss = -log σ(d·β·m)                                    (YaPO eq. 4 with the sign of its Algorithm 1)

log π sums over response tokens, end-of-turn included; π_v is steered by d·v, π_0 is the untouched model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from yapo.steering.activations import ActivationStore
from yapo.steering.interventions import Intervention
from yapo.steering.pair_batch import answer_log_probs
from yapo.steering.sparse_codes import SparseCodes

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

T = TypeVar("T")


def preference_margin(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    """Return m of each pair, from summed log-probabilities ``[pairs]``."""
    return (chosen - rejected) - (reference_chosen - reference_rejected)


def preference_loss(margin: Tensor, direction: Tensor, beta: float) -> Tensor:
    """Return -log σ(d·β·m) of each pair; ``direction`` holds d in {-1, 1}."""
    return -nn.functional.logsigmoid(beta * direction * margin)


@dataclass(frozen=True)
class PairLogProbs:
    """Log-probabilities of both answers of pairs, summed over their tokens; the columns are chosen and rejected.

    Attributes:
        steered: under a vector, ``[pairs, 2]``.
        unsteered: of the untouched model, ``[pairs, 2]``.
        lengths: tokens of each answer, end-of-turn included, ``[pairs, 2]``.
    """

    steered: Tensor
    unsteered: Tensor
    lengths: Tensor

    @property
    def margin(self) -> Tensor:
        """m of each pair, ``[pairs]``; see ``yapo.steering.objective``."""
        return preference_margin(*self.steered.unbind(1), *self.unsteered.unbind(1))


class Objective(Protocol):
    """A loss of steered pairs. Implementations are frozen dataclasses, whose ``repr`` identifies a training."""

    def __call__(self, pairs: PairLogProbs, d: Tensor) -> Tensor:
        """Return the loss of each pair, ``[pairs]``.

        Args:
            pairs: log-probabilities under d·v; gradients flow to ``steered``.
            d: direction of each pair, -1 or 1, ``[pairs]``.
        """
        ...


@dataclass(frozen=True)
class Preference:
    """-log σ(d·β·m), of BiPO and YaPO."""

    beta: float

    def __call__(self, pairs: PairLogProbs, d: Tensor) -> Tensor:
        """See ``Objective``."""
        return preference_loss(pairs.margin, d, self.beta)


@dataclass(frozen=True)
class SteeredPairs:
    """Pairs under steering.

    Attributes:
        log_probs: of both answers of each pair.
        change: h' - h at the steered tokens of all pairs, without gradient, ``[tokens, d_model]``.
        pair: which pair each of these tokens belongs to, ``[tokens]``.
    """

    log_probs: PairLogProbs
    change: Tensor
    pair: Tensor

    @property
    def margin(self) -> Tensor:
        """m of each pair, ``[pairs]``."""
        return self.log_probs.margin

    def displacement(self, group: Tensor, groups: int) -> Tensor:
        """Return the mean norm of the change over the tokens of each group, ``[groups]``; pair i belongs to ``group[i]``."""
        member = (group[self.pair] == torch.arange(groups, device=group.device)[:, None]).float()
        norms: Tensor = self.change.float().norm(dim=-1)
        return (member @ norms) / member.sum(dim=1)


def steer_pairs(
    lm: LanguageModel,
    layer: int,
    intervention: Intervention,
    store: ActivationStore,
    codes: Sequence[SparseCodes] | None,
    rows: list[int],
    u: Tensor,
    owner: Tensor,
    steer_bos: bool,
) -> SteeredPairs:
    """Run the blocks above ``layer`` over some pairs of a store, pair i steered by ``u[owner[i]]``; gradients flow to u.

    Args:
        intervention: on the model's device.
        codes: of every pair of the store, as ``intervention`` reads them, if it does.
        rows: the pairs.
        u: scaled vectors λ·v, ``[vectors, width]``.
        owner: ``[pairs]``.
        steer_bos: whether the first token is steered too.
    """
    batch, hidden = store.batch(rows)
    packed = None if codes is None else SparseCodes.packed([codes[i] for i in rows], batch).to(lm.device)
    batch, hidden = batch.to(lm.device), hidden.to(lm.device)
    live = batch.real if steer_bos else batch.real & (batch.positions > 0)
    edited = intervention.edit(hidden, packed, intervention.edit_state(u), owner[batch.pair], live)
    steered = answer_log_probs(lm, edited, layer, batch)
    reference, lengths = store.reference[rows].to(lm.device), answer_lengths(store, rows).to(lm.device)
    return SteeredPairs(PairLogProbs(steered, reference, lengths), (edited.detach() - hidden)[live], batch.pair[live])


def answer_lengths(store: ActivationStore, rows: Sequence[int]) -> Tensor:
    """Return the tokens of chosen and rejected, end-of-turn included, ``[pairs, 2]``."""
    return torch.tensor([[len(answer) for answer in store.pairs[i].answers] for i in rows], dtype=torch.float32)


@torch.no_grad()
def measure_pairs(
    lm: LanguageModel,
    layer: int,
    intervention: Intervention,
    store: ActivationStore,
    rows: Sequence[int],
    u: Tensor,
    steer_bos: bool,
    rows_per_pass: int,
) -> tuple[Tensor, Tensor]:
    """Return margin and mean displacement of each pair under ``u [width]``, ``[pairs]`` each.

    Args:
        intervention: the whole edit, with the store's autoencoder where it is sparse.
        rows: pairs of the store.
        rows_per_pass: pairs of one forward pass.
    """
    by_length = sorted(range(len(rows)), key=lambda k: len(store.hidden[rows[k]]))
    edit = intervention.to(lm.device)
    margins, moved = torch.zeros(len(rows)), torch.zeros(len(rows))
    for places in chunks(by_length, rows_per_pass):
        owner = torch.zeros(len(places), dtype=torch.long, device=lm.device)
        part = [rows[k] for k in places]
        done = steer_pairs(lm, layer, edit, store, store.codes, part, u[None].to(lm.device), owner, steer_bos)
        margins[places] = done.margin.cpu()
        moved[places] = done.displacement(torch.arange(len(places), device=lm.device), len(places)).cpu()
    return margins, moved


@torch.no_grad()
def steered_log_probs(
    lm: LanguageModel, intervention: Intervention, store: ActivationStore, rows: Sequence[int], u: Tensor, rows_per_pass: int
) -> Tensor:
    """Return the log-probabilities of chosen and rejected under ``u [width]`` at every token but BOS, ``[pairs, 2]``.

    Args:
        intervention: the whole edit, at the layer of the store.
        rows: pairs of the store.
        rows_per_pass: pairs of one forward pass.
    """
    edit, found = intervention.to(lm.device), list[Tensor]()
    state = edit.edit_state(u[None].to(lm.device))
    for part in chunks(list(rows), rows_per_pass):
        batch, hidden = store.batch(part)
        batch, hidden = batch.to(lm.device), hidden.to(lm.device)
        owner = torch.zeros(len(hidden), 1, dtype=torch.long, device=lm.device)
        moved = edit.edit(hidden, edit.codes(hidden), state, owner, batch.real & (batch.positions > 0))
        found.append(answer_log_probs(lm, moved, store.key.layer, batch).cpu())
    return torch.cat(found)


def chunks(rows: list[T], size: int) -> Iterator[list[T]]:
    """Yield consecutive parts of at most ``size``."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
