"""Steering that depends on the prompt: DSPA at inference (arXiv 2603.21461, section 3.2).

For a prompt x and the map A (``yapo.steering.methods.dspa.fit_map``):

    S(x)   the k_prompt features of the input autoencoder with the highest density on x
    s(x)   Σ_{i in S} A_i; de-mixed: A_Sᵀ M_S⁺ 1, M the gates' Gram matrix (1/N) Σ_k g(x_k) g(x_k)ᵀ
    S_abl  the k_diff most negative s_j below 0;   S_aug  the k_diff largest above 0  (``signed``; else whatever their sign)

and at a steered token, with output codes f̃ and M_t their maximum, only where f̃_j > 0:

    f̃'_j = max(f̃_j - u·M_t, 0) for j in S_abl,   max(f̃_j + u·M_t, 0) for j in S_aug
    h'    = h + (f̃' - f̃)·W_dec

A feature in both sets, which only unsigned ones can share, stays as it is. The scaled vector u is one number, λ·α. A negative one
swaps the two sets; 0 leaves h untouched, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from yapo.models.sae import SAE
from yapo.steering.interventions import EditState, Intervention
from yapo.steering.methods.dspa.map import ConditionalMap, Entries
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.token_edits import TokenEdit


class Conditional(Intervention):
    """DSPA's edit of the output of ``layer_out``, decided by the prompt's states after ``layer_in``.

    Args:
        conditional: the map.
        sae_in, sae_out: the autoencoders that it was made with.
        device: where prompts are read and tokens edited; the output autoencoder's if None.

    Raises:
        YapoError: the autoencoders are others.
    """

    def __init__(self, conditional: ConditionalMap, sae_in: SAE, sae_out: SAE, device: torch.device | None = None) -> None:
        conditional.check(sae_in, sae_out)
        self.map, self.info, self.width = conditional, conditional.info, 1
        self.device = sae_out.W_dec.device if device is None else device
        self.sae_in, self.sae_out = sae_in.to(self.device), sae_out.to(self.device)
        self.layer, self.reads = self.info.layer_out, self.info.layer_in
        self.template, self.answers_only = self.info.template, self.info.edits == "answer"
        self.digest = f"conditional {conditional.digest}"

    @cached_property
    def _entries(self) -> Entries:
        """A with its columns numbered by their place in ``_columns``."""
        entries = self.map.entries.to(self.device)
        return replace(entries, columns=torch.searchsorted(self._columns, entries.columns))

    @cached_property
    def _columns(self) -> Tensor:
        """Output features that may be edited, ascending: those that A speaks of, or all where s_j = 0 may enter a set."""
        if not self.info.signed:
            return torch.arange(self.info.width_out, device=self.device)
        columns: Tensor = torch.unique(self.map.entries.columns.long())
        return columns.to(self.device)

    @cached_property
    def _starts(self) -> Tensor:
        """Index at which the entries of each row of A begin, and the end, ``[width_in + 1]``."""
        return torch.searchsorted(self._entries.rows, torch.arange(self.info.width_in + 1, device=self.device))

    @cached_property
    def _opened(self) -> Tensor:
        """True on the gates that each of the N prompts opened, ``[width_in, N]`` bool."""
        assert self.map.gates is not None
        opened = torch.zeros(self.info.width_in, self.info.pairs, dtype=torch.bool, device=self.device)
        pairs, features = self.map.gates.long().to(self.device)
        opened[features, pairs] = True
        return opened

    def context(self, hidden: Tensor, ids: Tensor, prompt: Tensor) -> Tensor:
        """Return the features to edit, ``[rows, 2 * k_diff]``: those to ablate, then those to augment; -1 where there are fewer.

        See ``Intervention.context``. A prompt on which no feature fires has s = 0, and so is not edited where sets are signed.
        """
        scores = self.scores(*self.select(hidden, self.info.counts(ids, prompt)))
        return torch.cat(
            [
                self._lowest(scores, self.info.mode != "augment"),
                self._lowest(-scores, self.info.mode != "ablate"),
            ],
            dim=1,
        )

    def select(self, hidden: Tensor, content: Tensor) -> tuple[Tensor, Tensor]:
        """Return S(x): features ``[rows, k_prompt]`` by falling density, the lower of two equal ones first, and which fire.

        Args:
            hidden: residual stream after ``layer_in``, ``[rows, tokens, d_model]``.
            content: True on the tokens that count, ``[rows, tokens]``.
        """
        rows, width = len(hidden), self.info.width_in
        ids, _, fired = self.sae_in.encode_sparse(hidden[content])
        row = content.nonzero()[:, 0].repeat_interleave(fired)
        counts = torch.bincount(row * width + ids, minlength=rows * width).reshape(rows, width)
        # All features of a row share the number of tokens, so counts rank as densities do; unique keys make ties stable.
        keys = counts * width + torch.arange(width - 1, -1, -1, device=counts.device)
        top = keys.topk(min(self.info.k_prompt, width), dim=1)
        return top.indices, top.values >= width

    def scores(self, features: Tensor, fires: Tensor) -> Tensor:
        """Return s(x) of the output features that may be edited, ``[rows, columns]`` float64, from what ``select`` gives.

        Sums of float32 entries in float64: exact unless they differ by more than 2^24 or so, and so the same in any order.
        """
        weights = self._demixed(features, fires) if self.info.demix else fires.double()
        begin = self._starts[features].reshape(-1)
        length = (self._starts[features + 1].reshape(-1) - begin) * fires.reshape(-1)
        skipped = length.cumsum(dim=0) - length
        entry = torch.arange(int(length.sum()), device=begin.device) + (begin - skipped).repeat_interleave(length)
        row = torch.arange(len(features), device=begin.device).repeat_interleave(features.shape[1]).repeat_interleave(length)
        share = self._entries.values[entry].double() * weights.reshape(-1).repeat_interleave(length)
        scores = share.new_zeros(len(features) * len(self._columns))
        place = row * len(self._columns) + self._entries.columns[entry]
        return scores.index_add(0, place, share).reshape(len(features), -1)

    def _demixed(self, features: Tensor, fires: Tensor) -> Tensor:
        """Return M_S⁺ 1: weights of the rows of A, ``[rows, k_prompt]`` float64. Gates that always open together share one."""
        opened = (self._opened[features] & fires[..., None]).double()
        gram = opened @ opened.transpose(1, 2) / self.info.pairs
        weights: Tensor = torch.linalg.pinv(gram, hermitian=True) @ fires.double()[..., None]
        return weights[..., 0]

    def _lowest(self, scores: Tensor, wanted: bool) -> Tensor:
        """Return the ``k_diff`` features with the lowest scores, below 0 if ``signed``; the lower number where two are equal.

        Returns:
            ``[rows, k_diff]``, -1 where there are fewer.
        """
        lowest = torch.full((len(scores), self.info.k_diff), -1, device=scores.device)
        if wanted:
            low, place = scores.sort(dim=1, stable=True)
            enters = low < 0 if self.info.signed else torch.ones_like(low, dtype=torch.bool)
            ids = torch.where(enters, self._columns[place], -1)[:, : self.info.k_diff]
            lowest[:, : ids.shape[1]] = ids
        return lowest

    def codes(self, hidden: Tensor) -> None:
        """See ``Intervention.codes``: nothing, since it encodes the few tokens that are live."""

    def edit_state(self, u: Tensor) -> EditState:
        """See ``Intervention.edit_state``."""
        return EditState(u, u)

    def edit(
        self,
        hidden: Tensor,
        codes: SparseCodes | None,  # noqa: ARG002
        state: EditState,
        owner: Tensor,
        live: Tensor,
        context: Tensor | None = None,
    ) -> Tensor:
        """See ``Intervention.edit``."""
        assert context is not None
        strength = state.u[:, 0][owner.expand(live.shape)]
        live = live & (strength != 0)
        states = hidden[live].float()
        ids, values, fired = self.sae_out.encode_sparse(states)
        token = torch.arange(len(states), device=ids.device).repeat_interleave(fired)
        largest = values.new_zeros(len(states)).scatter_reduce(0, token, values, "amax")
        row = live.nonzero()[:, 0][token]
        ablate, augment = (ids[:, None] == context[row]).split(self.info.k_diff, dim=1)  # type: ignore[no-untyped-call]
        sign = augment.any(dim=1).float() - ablate.any(dim=1).float()
        step = torch.relu(values + sign * (strength[live] * largest)[token]) - values
        touched = sign != 0
        moved = states.index_add(0, token[touched], step[touched, None] * self.sae_out.W_dec[ids[touched]])
        edited = hidden.clone()
        edited[live] = moved.to(hidden.dtype)
        return edited

    def token_edit(self, u: Tensor, rows: int, dtype: torch.dtype) -> ConditionalToken:  # noqa: ARG002
        """See ``Intervention.token_edit``."""
        return ConditionalToken(self, u[:, 0], rows)

    def restrict(self, u: Tensor) -> tuple[Conditional, Tensor]:
        """See ``Intervention.restrict``: nothing can be left out, since M_t is the maximum of all codes."""
        return self, u

    def to(self, device: torch.device) -> Conditional:
        """See ``Intervention.to``."""
        return Conditional(self.map, self.sae_in, self.sae_out, device)


class ConditionalToken(TokenEdit):
    """The same edit of one token a row, in fixed shapes.

    Args:
        intervention: the map with its autoencoders.
        strength: λ·α by condition, ``[conditions]``; 0 for those of other edits.
        rows: how many rows there are.
    """

    def __init__(self, intervention: Conditional, strength: Tensor, rows: int) -> None:
        self.sae, self.k_diff = intervention.sae_out, intervention.info.k_diff
        ids = torch.zeros(rows, 2 * self.k_diff, dtype=torch.long, device=strength.device)
        self.ids, self.sign = ids, torch.zeros(ids.shape, device=strength.device)
        self.tables = [strength]
        self.key = ("conditional", id(intervention.sae_out), self.k_diff, rows, len(strength))

    def __call__(self, hidden: Tensor, owner: Tensor) -> Tensor:
        """See ``TokenEdit``."""
        rows = len(hidden)
        codes = self.sae.encode(hidden)
        largest = codes.amax(dim=1, keepdim=True)
        values = codes.gather(1, self.ids[:rows])
        moved = (values + self.sign[:rows] * self.tables[0][owner][:, None] * largest).relu()
        step = torch.where((values > 0) & (self.sign[:rows] != 0), moved - values, 0.0)
        return torch.einsum("rk,rkd->rd", step, self.sae.W_dec[self.ids[:rows]])

    def admit(self, slots: Tensor, context: Tensor | None) -> None:
        """See ``TokenEdit``: a feature to ablate counts -1, one to augment +1, one in both sets 0."""
        if context is None:
            self.sign[slots] = 0.0
            return
        ablate, augment = context[:, : self.k_diff], context[:, self.k_diff :]
        shared = (ablate[:, :, None] == augment[:, None, :]) & (ablate >= 0)[:, :, None]
        alone = torch.cat([~shared.any(dim=2), ~shared.any(dim=1)], dim=1) & (context >= 0)
        way = torch.cat([-torch.ones_like(ablate), torch.ones_like(augment)], dim=1)
        self.ids[slots] = context.clamp_min(0)
        self.sign[slots] = (alone * way).float()

    def move(self, sources: Tensor) -> None:
        """See ``TokenEdit``."""
        for part in (self.ids, self.sign):
            part[: len(sources)] = part[sources]
