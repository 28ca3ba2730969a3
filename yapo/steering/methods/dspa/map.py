"""DSPA's map, as it is kept in a vector's file: which features of a prompt change which features of its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from yapo.checks import check_types
from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.models.template import Template
from yapo.steering.methods.dspa.options import Edits, Mode, Normalise, Sparsify, Turns

MAP_CONVENTION = (
    "edit with u = multiplier * vector at the last prompt token and every generated one (at every token if the map's `edits` is"
    " `all`), the features that the map gives for the prompt, in the output of decoder block `layer` (0-based)"
)
TENSORS = ("map_rows", "map_columns", "map_values")
GATES = ("gate_pairs", "gate_features")


@dataclass(frozen=True)
class Entries:
    """The non-zero entries of a matrix, row after row.

    Attributes:
        rows, columns: ascending; int64, or int32 on disk.
        values: float32.
    """

    rows: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> Entries:
        """Return the entries of a sparse matrix."""
        coo = matrix.sorted_indices().tocoo()
        rows, columns = (torch.from_numpy(part.astype(np.int64)) for part in (coo.row, coo.col))
        return cls(rows, columns, torch.from_numpy(coo.data.astype(np.float32)))

    def to(self, device: torch.device) -> Entries:
        """Return the same entries on another device, numbered in int64."""
        return Entries(self.rows.long().to(device), self.columns.long().to(device), self.values.to(device))


@dataclass(frozen=True)
class MapInfo:
    """Origin and use of a map; part of the header of its file.

    Attributes:
        layer_in, layer_out: 0-based blocks whose output is read on the prompt, and edited.
        sae_in, sae_out: where their autoencoders were read from, with digests and numbers of features.
        pairs: N.
        mode: which sets are edited: "ablate", "augment" or "both".
        k_prompt, k_diff: sizes of the sets.
        demix: whether s is de-mixed.
        percentile, normalise, sparsify: how A was made (``yapo.steering.methods.dspa.fit_map``).
        template: the tokens that no user wrote.
        gate_fires: whether a gate needs a density above 0. count_template: whether those tokens count in prompts' densities.
            count_end: whether the end-of-turn token counts in answers'. edits: which tokens. signed: whether only s_j of
            the right sign enter a set. turns: which part of a conversation. All are readings where the paper is silent
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
    mode: Mode
    k_prompt: int
    k_diff: int
    demix: bool
    percentile: float
    normalise: Normalise
    sparsify: Sparsify
    template: Template = field(default_factory=Template)
    gate_fires: bool = True
    count_template: bool = False
    count_end: bool = False
    edits: Edits = "answer"
    signed: bool = True
    turns: Turns = "all"

    def __post_init__(self) -> None:
        check_types("", MapInfo, vars(self))

    @classmethod
    def of(cls, header: dict[str, Any]) -> MapInfo:
        """Read from JSON.

        Raises:
            YapoError: a value is of another type, or asks for an edit that there is not.
        """
        return cls(**{**header, "template": Template.of(header["template"])})

    def counts(self, ids: Tensor, prompt: Tensor) -> Tensor:
        """Find the tokens of the prompts that count in their densities; both ``[rows, tokens]``."""
        counts = prompt if self.count_template else prompt & self.template.content(ids)
        return counts & self.template.last_turn(ids, prompt) if self.turns == "last" else counts


@dataclass(frozen=True, eq=False)
class ConditionalMap:
    """A, its gates, and how it is used.

    Attributes:
        info: origin and use.
        entries: the non-zero entries of A, ``[width_in, width_out]``.
        gates: which of the N prompts opened which gate, as (pair, feature) ``[2, n]``; None where nothing is de-mixed.
    """

    info: MapInfo
    entries: Entries
    gates: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """See ``Payload``."""
        parts = (self.entries.rows.int(), self.entries.columns.int(), self.entries.values)
        held = dict(zip(TENSORS, parts, strict=True))
        return held if self.gates is None else held | dict(zip(GATES, self.gates.int(), strict=True))

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> ConditionalMap:
        """Read the map of a file.

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
            raise YapoError(f"its map has {len(opened[0])} {GATES[0]} but {len(opened[1])} {GATES[1]}")
        for name, places, most in zip(GATES, opened, (info.pairs, info.width_in), strict=True):
            if len(places) and not 0 <= int(places.min()) <= int(places.max()) < most:
                raise YapoError(f"the {name} of its map do not fit the {most} that its header states")
        return cls(info, entries, torch.stack(opened))

    def header(self) -> dict[str, Any]:
        """See ``Payload``."""
        return {"map": asdict(self.info)}

    @cached_property
    def digest(self) -> str:
        """Identifies everything that decides an edit."""
        total = hashlib.sha256(json.dumps(asdict(self.info), sort_keys=True).encode())
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
