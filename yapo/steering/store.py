"""The activation store: what a training step needs of the frozen model, computed once.

For every preference pair the prompt stands once, followed by both answers: ``prompt | chosen[:-1] | rejected[:-1]``. The
rejected answer takes the positions the chosen one has and cannot see it, so each answer reads exactly the prompt and
itself. Kept per pair: the residual stream after block L at those tokens, the token ids to predict, and the reference
log-probabilities of both answers under the unsteered model.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.steering.objective import token_log_probs
from yapo.steering.vector import load_tensors, save_tensors

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel, Masks


@dataclass(frozen=True)
class TreeBatch:
    """Pairs padded to one length, on the right. T counts tokens of the longest pair.

    Attributes:
        positions: position of each token, ``[pairs, T]``.
        allowed: which keys each query may read, bool ``[pairs, T, T]``.
        real: True on tokens, False on padding, ``[pairs, T]``.
        source: flat index ``pair * T + t`` of the token whose logits predict each answer token, ``[answers]``.
        target: the answer tokens, ``[answers]``.
        owner: which log-probability each answer token adds to: ``2 * pair`` (chosen) or ``2 * pair + 1`` (rejected).
    """

    positions: Tensor
    allowed: Tensor
    real: Tensor
    source: Tensor
    target: Tensor
    owner: Tensor

    def to(self, device: torch.device) -> TreeBatch:
        """The same layout on another device."""
        return TreeBatch(*(getattr(self, item.name).to(device) for item in fields(self)))


@dataclass(frozen=True)
class Pair:
    """Token ids of a pair; answers end with the end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def tokens(self) -> list[int]:
        """What is run: the last token of an answer is predicted, never read."""
        return self.prompt + self.chosen[:-1] + self.rejected[:-1]


def tree_batch(pairs: list[Pair]) -> TreeBatch:
    """Lay out pairs as one batch."""
    longest = max(len(pair.tokens) for pair in pairs)
    positions = torch.zeros(len(pairs), longest, dtype=torch.long)
    allowed = torch.eye(longest, dtype=torch.bool).repeat(len(pairs), 1, 1)
    real = torch.zeros(len(pairs), longest, dtype=torch.bool)
    source, target, owner = [], [], []
    for i, pair in enumerate(pairs):
        p, c, r = len(pair.prompt), len(pair.chosen) - 1, len(pair.rejected) - 1
        length = p + c + r
        real[i, :length] = True
        positions[i, : p + c] = torch.arange(p + c)
        positions[i, p + c : length] = torch.arange(p, p + r)
        allowed[i, :length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
        allowed[i, p + c : length, p : p + c] = False
        for side, (start, answer) in enumerate(((p, pair.chosen), (p + c, pair.rejected))):
            reading = [p - 1, *range(start, start + len(answer) - 1)]
            source += [i * longest + t for t in reading]
            target += answer
            owner += [2 * i + side] * len(answer)
    return TreeBatch(positions, allowed, real, *(torch.tensor(values) for values in (source, target, owner)))


def answer_log_probs(lm: LanguageModel, hidden: Tensor, layer: int, batch: TreeBatch, masks: Masks) -> Tensor:
    """Summed log-probability of chosen and rejected, ``[pairs, 2]``, from the residual stream after block ``layer``.

    Runs the blocks above ``layer`` only, and the head on answer positions only.
    """
    top = lm.blocks(hidden, layer + 1, lm.n_layers, batch.positions, masks)
    logits = lm.logits(top.reshape(-1, top.shape[-1])[batch.source])
    summed = torch.zeros(2 * len(batch.positions), dtype=torch.float32, device=logits.device)
    return summed.index_add(0, batch.owner, token_log_probs(logits, batch.target)).reshape(-1, 2)


@dataclass(frozen=True)
class ActivationStore:
    """Pairs of one country and task with their frozen quantities.

    Attributes:
        pairs: token ids.
        hidden: residual stream after block L of each pair, ``[tokens of the pair, d_model]``.
        reference: unsteered log-probabilities of chosen and rejected, ``[pairs, 2]`` float32.
    """

    pairs: list[Pair]
    hidden: list[Tensor]
    reference: Tensor

    def batch(self, rows: list[int]) -> tuple[TreeBatch, Tensor]:
        """Layout and padded residual stream ``[rows, T, d_model]`` of some pairs."""
        return tree_batch([self.pairs[i] for i in rows]), pad_states([self.hidden[i] for i in rows])

    def save(self, path: Path, header: dict[str, object]) -> None:
        """Write as safetensors: flat tensors and their lengths."""
        lengths = [[len(pair.prompt), len(pair.chosen), len(pair.rejected)] for pair in self.pairs]
        ids = [token for pair in self.pairs for token in (*pair.prompt, *pair.chosen, *pair.rejected)]
        save_tensors(
            path,
            {
                "lengths": torch.tensor(lengths, dtype=torch.int32),
                "ids": torch.tensor(ids, dtype=torch.int32),
                "hidden": torch.cat(self.hidden),
                "reference": self.reference,
            },
            header,
        )

    @classmethod
    def load(cls, path: Path) -> tuple[ActivationStore, dict[str, object]]:
        """Read a store and its header."""
        tensors, header = load_tensors(path)
        ids, pairs = tensors["ids"].tolist(), []
        start = 0
        for p, c, r in tensors["lengths"].tolist():
            pairs.append(Pair(ids[start : start + p], ids[start + p : start + p + c], ids[start + p + c : start + p + c + r]))
            start += p + c + r
        hidden = list(tensors["hidden"].split([len(pair.tokens) for pair in pairs]))  # type: ignore[no-untyped-call]
        return cls(pairs, hidden, tensors["reference"]), header


def pad_states(rows: list[Tensor]) -> Tensor:
    """Stack ``[tokens, d]`` tensors as ``[rows, longest, d]``, zero-padded on the right."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


@torch.no_grad()
def build_store(lm: LanguageModel, layer: int, pairs: list[Pair], batch_size: int) -> ActivationStore:
    """Run the frozen model once over every pair. Pairs are batched by length; the result keeps their order."""
    hidden: list[Tensor] = [torch.empty(0)] * len(pairs)
    reference = torch.zeros(len(pairs), 2)
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].tokens))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tree_batch([pairs[i] for i in rows]).to(lm.device)
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(pairs[i].tokens) for i in rows], batch_first=True).to(lm.device)
        masks = lm.masks(batch.allowed, batch.positions, batch.positions)
        below = lm.blocks(lm.embed(ids), 0, layer + 1, batch.positions, masks)
        reference[rows] = answer_log_probs(lm, below, layer, batch, masks).cpu()
        for i, states in zip(rows, below.cpu(), strict=True):
            hidden[i] = states[: len(pairs[i].tokens)].clone()
    return ActivationStore(pairs, hidden, reference)
