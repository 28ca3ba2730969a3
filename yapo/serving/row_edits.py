"""The edits of a batch whose rows are steered each in its own way, as hooks on the model's blocks.

What a row gets is what ``yapo.steer`` does to a model that runs it alone; rows that are not steered are left as they are, bit for
bit. ``tests/serving/test_batch.py`` holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from yapo.serving.vectors import NamedVector, RowEdit
from yapo.steering.interventions import EditState


@dataclass(frozen=True, eq=False)
class PassTokens:
    """The tokens of one forward pass.

    Attributes:
        ids: ``[rows, tokens]``.
        real: False on padding.
        opens: True on the first token of a row.
        is_prompt: whether they are prompts; otherwise each row has one token of its answer.
    """

    ids: Tensor
    real: Tensor
    opens: Tensor
    is_prompt: bool


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows that one vector steers, as the n-th of theirs."""

    named: NamedVector
    edits: list[RowEdit]
    rows: Tensor
    state: EditState

    @classmethod
    def of(cls, members: list[tuple[int, RowEdit]], device: torch.device) -> _Group:
        edits = [edit for _, edit in members]
        parts = [edit.state for edit in edits]
        state = EditState(torch.cat([part.u for part in parts]), torch.cat([part.everywhere for part in parts]))
        return cls(edits[0].named, edits, torch.tensor([row for row, _ in members], device=device), state)

    def read(self, hidden: Tensor, tokens: PassTokens) -> None:
        """Keep what the intervention needs to know of the prompts."""
        ids, real = tokens.ids[self.rows], tokens.real[self.rows]
        prompt = real & (_places(ids) < self._starts(tokens))
        context = self.named.intervention.context(hidden[self.rows], ids, prompt)
        for i, edit in enumerate(self.edits):
            edit.context = None if context is None else context[i : i + 1]

    def edited(self, hidden: Tensor, tokens: PassTokens) -> Tensor:
        """Return the residual stream with these rows' edits, ``[rows, tokens, d_model]``."""
        intervention, part = self.named.intervention, hidden[self.rows]
        live = tokens.real[self.rows]
        if not self.named.vector.info.steer_bos:
            live = live & ~tokens.opens[self.rows]
        if intervention.answers_only and tokens.is_prompt:
            live = live & (_places(live) >= self._starts(tokens) - 1)
        owner = torch.arange(len(part), device=hidden.device)[:, None]
        contexts = [edit.context for edit in self.edits if edit.context is not None]
        context = torch.cat(contexts) if contexts else None
        changed = intervention.edit(part, intervention.codes(part), self.state, owner, live, context)
        return changed if len(part) == len(hidden) else hidden.index_copy(0, self.rows, changed)

    def _starts(self, tokens: PassTokens) -> Tensor:
        """Find where answers begin, ``[rows, 1]``; behind the last token where the prompt holds none."""
        return self.named.intervention.template.answer_starts(tokens.ids[self.rows], tokens.real[self.rows])[:, None]


class RowEdits:
    """The edits of some rows.

    Args:
        rows: the edits of each, in their order.
        device: where edits happen.
    """

    def __init__(self, rows: Sequence[Sequence[RowEdit]], device: torch.device) -> None:
        self._groups: list[_Group] = []
        for stage in zip_longest(*rows):
            members: dict[int, list[tuple[int, RowEdit]]] = {}
            for row, edit in enumerate(stage):
                if edit is not None:
                    members.setdefault(id(edit.named), []).append((row, edit))
            self._groups += [_Group.of(part, device) for part in members.values()]

    @contextmanager
    def on(self, model: PreTrainedModel, tokens: PassTokens) -> Iterator[None]:
        """Edit these tokens' pass through the model in a ``with`` block."""
        readers: dict[int, list[_Group]] = {}
        editors: dict[int, list[_Group]] = {}
        for group in self._groups:
            editors.setdefault(group.named.vector.info.layer, []).append(group)
            reads = group.named.intervention.reads
            if reads is not None and tokens.is_prompt:
                readers.setdefault(reads, []).append(group)

        def at(layer: int) -> Any:
            def hook(_module: torch.nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
                hidden: Tensor = output[0] if isinstance(output, tuple) else output
                for group in readers.get(layer, []):
                    group.read(hidden, tokens)
                for group in editors.get(layer, []):
                    hidden = group.edited(hidden, tokens)
                return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

            return hook

        blocks = model.model.layers
        handles = [blocks[layer].register_forward_hook(at(layer)) for layer in sorted({*readers, *editors})]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _places(like: Tensor) -> Tensor:
    return torch.arange(like.shape[1], device=like.device)
