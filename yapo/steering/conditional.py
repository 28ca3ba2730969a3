"""Steering that depends on the prompt: DSPA at inference (arXiv 2603.21461, section 3.2).

For a prompt x and the map A (``yapo.steering.dspa``):

    S(x)   the k_prompt features of the input autoencoder with the highest density on x
    s(x)   Σ_{i in S} A_i; de-mixed: A_Sᵀ M_S⁺ 1, M the gates' Gram matrix (1/N) Σ_k g(x_k) g(x_k)ᵀ
    S_abl  the k_diff most negative s_j below 0;   S_aug  the k_diff largest above 0  (``signed``; else whatever their sign)

and at a steered token, with output codes f̃ and M_t their maximum, only where f̃_j > 0:

    f̃'_j = max(f̃_j - u·M_t, 0) for j in S_abl,   max(f̃_j + u·M_t, 0) for j in S_aug
    h'    = h + (f̃' - f̃)·W_dec

A feature in both sets, which only unsigned ones can share, stays as it is. The displacement u is one number, λ·α. A negative one
swaps the two sets; 0 leaves h untouched, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from yapo.config.checks import one_of
from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.models.template import Template
from yapo.steering.codes import Codes
from yapo.steering.dspa import Entries
from yapo.steering.intervention import Intervention, Push

MODES = ("ablate", "augment", "both")
EDITS = ("answer", "all")  # the last prompt token and what follows, or every token
TURNS = ("all", "last")  # what the prompt of a later turn is: the conversation so far, or the last user's turn
TENSORS = ("map_rows", "map_columns", "map_values")
GATES = ("gate_pairs", "gate_features")


@dataclass(frozen=True)
class MapInfo:
    """What a map was made for and how it is used; the header of its file says it.

    Attributes:
        layer_in, layer_out: 0-based blocks whose output is read on the prompt, and edited.
        sae_in, sae_out: where their autoencoders were read from, with digests and numbers of features.
        pairs: N.
        mode: which sets are edited: "ablate", "augment" or "both".
        k_prompt, k_diff: sizes of the sets.
        demix: whether s is de-mixed.
        percentile, normalise, sparsify: how A was made (``yapo.steering.dspa``).
        template: the tokens that no user wrote.
        gate_fires: whether a gate needs a density above 0. count_template: whether those tokens count in prompts' densities.
            count_end: whether the end-of-turn token counts in answers'. edits: one of ``EDITS``. signed: whether only s_j of
            the right sign enter a set. turns: one of ``TURNS``. All are readings where the paper is silent
            (docs/decisions/0009-dspa.md); a file without them was made with these defaults.
    """

    layer_in: int
    layer_out: int
    sae_in: str
    sae_in_digest: str
    width_in: int
    sae_out: str
    sae_out_digest: str
    width_out: int
    pairs: int
    mode: str
    k_prompt: int
    k_diff: int
    demix: bool
    percentile: float
    normalise: str
    sparsify: str
    template: Template = field(default_factory=Template)
    gate_fires: bool = True
    count_template: bool = False
    count_end: bool = False
    edits: str = "answer"
    signed: bool = True
    turns: str = "all"

    @classmethod
    def of(cls, header: dict[str, Any]) -> MapInfo:
        """Read from JSON.

        Raises:
            YapoError: it asks for an edit that there is not.
        """
        info = cls(**{**header, "template": Template.of(header["template"])})
        for name, known in (("mode", MODES), ("edits", EDITS), ("turns", TURNS)):
            one_of(name, getattr(info, name), known)
        return info

    def counts(self, ids: Tensor, prompt: Tensor) -> Tensor:
        """True on the tokens of the prompts that count in their densities; both ``[rows, tokens]``."""
        counts = prompt if self.count_template else prompt & self.template.content(ids)
        return counts & self.template.last_turn(ids, prompt) if self.turns == "last" else counts


@dataclass(frozen=True, eq=False)
class ConditionalMap:
    """A, and what goes with it.

    Attributes:
        info: see there.
        entries: the non-zero entries of A, ``[width_in, width_out]``.
        gates: which of the N prompts opened which gate, as (pair, feature) ``[2, n]``; None where nothing is de-mixed.
    """

    info: MapInfo
    entries: Entries
    gates: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds."""
        parts = (self.entries.rows.int(), self.entries.columns.int(), self.entries.values)
        held = dict(zip(TENSORS, parts, strict=True))
        return held if self.gates is None else held | dict(zip(GATES, self.gates.int(), strict=True))

    @classmethod
    def read(cls, tensors: dict[str, Tensor], header: dict[str, Any]) -> ConditionalMap:
        """From what a file holds.

        Raises:
            YapoError: a part is missing, the header asks for what there is not, or entries or gates do not fit what it states.
        """
        try:
            info = MapInfo.of(header)
            entries = Entries(*(tensors[name] for name in TENSORS))
            opened = [tensors[name] for name in GATES] if info.demix else None
        except (KeyError, TypeError, AttributeError) as error:
            raise YapoError(f"a part of its map is missing or foreign ({error})") from None
        for axis, places, width in (("rows", entries.rows, info.width_in), ("columns", entries.columns, info.width_out)):
            if len(places) != len(entries.values) or (len(places) and not 0 <= int(places.min()) <= int(places.max()) < width):
                raise YapoError(f"the {axis} of its map do not fit the {width} features that its header states")
        if opened is None:
            return cls(info, entries)
        if len(opened[0]) != len(opened[1]):
            raise YapoError(f"its map has {len(opened[0])} {GATES[0]} but {len(opened[1])} {GATES[1]}; make it again")
        for name, places, most in zip(GATES, opened, (info.pairs, info.width_in), strict=True):
            if len(places) and not 0 <= int(places.min()) <= int(places.max()) < most:
                raise YapoError(f"the {name} of its map do not fit the {most} that its header states; make it again")
        return cls(info, entries, torch.stack(opened))

    def header(self) -> dict[str, Any]:
        """``info`` for JSON."""
        return asdict(self.info)

    @cached_property
    def digest(self) -> str:
        """Identifies everything that decides an edit."""
        total = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        for _, part in sorted(self.tensors().items()):
            total.update(part.contiguous().numpy().data)
        return total.hexdigest()[:12]

    def check(self, sae_in: SAE, sae_out: SAE) -> None:
        """Refuse autoencoders other than those that the map was made with."""
        info = self.info
        for layer, made, known, width, sae in (
            (info.layer_in, info.sae_in, info.sae_in_digest, info.width_in, sae_in),
            (info.layer_out, info.sae_out, info.sae_out_digest, info.width_out, sae_out),
        ):
            made_with = f"the map was made with {width} features of {made} ({known}) at layer {layer}"
            if sae.d_sae != width:
                raise YapoError(f"{sae.source}: {sae.d_sae} features, but {made_with}; give that autoencoder")
            if sae.digest != known:
                raise YapoError(f"{sae.source}: another autoencoder ({sae.digest}); {made_with}; give that one")


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
        self.answers_only = self.info.edits == "answer"
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
        """Where the entries of each row of A begin, and the end, ``[width_in + 1]``."""
        return torch.searchsorted(self._entries.rows, torch.arange(self.info.width_in + 1, device=self.device))

    @cached_property
    def _opened(self) -> Tensor:
        """Which gates each of the N prompts opened, ``[width_in, N]`` bool."""
        assert self.map.gates is not None
        opened = torch.zeros(self.info.width_in, self.info.pairs, dtype=torch.bool, device=self.device)
        pairs, features = self.map.gates.long().to(self.device)
        opened[features, pairs] = True
        return opened

    def context(self, hidden: Tensor, ids: Tensor, prompt: Tensor) -> Tensor:
        """The features to edit, ``[rows, 2 * k_diff]``: first those to ablate, then those to augment; -1 where there are fewer.

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
        """S(x): features ``[rows, k_prompt]`` by falling density, the lower number where two are equal, and which of them fire.

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
        """s(x) of the output features that may be edited, ``[rows, columns]`` float64, from what ``select`` gives.

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
        """M_S⁺ 1: weights of the rows of A, ``[rows, k_prompt]`` float64. Gates that are always open together share theirs."""
        opened = (self._opened[features] & fires[..., None]).double()
        gram = opened @ opened.transpose(1, 2) / self.info.pairs
        weights: Tensor = torch.linalg.pinv(gram, hermitian=True) @ fires.double()[..., None]
        return weights[..., 0]

    def _lowest(self, scores: Tensor, wanted: bool) -> Tensor:
        """The ``k_diff`` features with the lowest scores, below 0 if ``signed``; the lower number where two are equal.

        Returns:
            ``[rows, k_diff]``, -1 where there are fewer.
        """
        chosen = torch.full((len(scores), self.info.k_diff), -1, device=scores.device)
        if wanted:
            low, place = scores.sort(dim=1, stable=True)
            enters = low < 0 if self.info.signed else torch.ones_like(low, dtype=torch.bool)
            ids = torch.where(enters, self._columns[place], -1)[:, : self.info.k_diff]
            chosen[:, : ids.shape[1]] = ids
        return chosen

    def codes(self, hidden: Tensor) -> None:
        """Nothing ahead of the edit: it encodes the few tokens that are live."""

    def push(self, u: Tensor) -> Push:
        """See ``Intervention.push``."""
        return Push(u, u)

    def edit(
        self,
        hidden: Tensor,
        codes: Codes | None,  # noqa: ARG002
        push: Push,
        owner: Tensor,
        live: Tensor,
        context: Tensor | None = None,
    ) -> Tensor:
        """See ``Intervention.edit``."""
        assert context is not None
        strength = push.u[:, 0][owner.expand(live.shape)]
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

    def focused(self, u: Tensor) -> tuple[Conditional, Tensor]:
        """There is nothing to leave out: M_t is the maximum of all codes."""
        return self, u

    def to(self, device: torch.device) -> Conditional:
        """See ``Intervention.to``."""
        return Conditional(self.map, self.sae_in, self.sae_out, device)
