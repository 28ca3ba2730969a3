"""Train steering vectors by preference, several at once.

Vectors of one store share each forward pass: a step takes one minibatch per vector, gives every row the displacement of
its own vector, and sums the losses. The model is frozen, so the gradients do not mix and the result is that of training
them one by one (``tests/steering/test_trainer.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from yapo.config import TrainConfig
from yapo.files import digest
from yapo.steering.intervention import Codes, Intervention
from yapo.steering.objective import preference_loss, preference_margin
from yapo.steering.store import ActivationStore, answer_log_probs
from yapo.steering.vector import load_tensors, save_tensors

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

Row = dict[str, object]


@dataclass(frozen=True)
class TrainSet:
    """What one vector learns from: rows of the store."""

    name: str
    train: list[int]
    validation: list[int]


@dataclass(eq=False)
class _State:
    """One vector in training."""

    part: TrainSet
    vector: nn.Parameter
    steps_per_epoch: int
    total_steps: int
    epochs: list[Tensor] = field(default_factory=list)


class Trainer:
    """Trains one vector per set on one store.

    Args:
        lm: the frozen model; only its blocks above ``layer`` run.
        layer: 0-based block whose output is steered.
        intervention: dense or sparse.
        store: pairs with their frozen quantities at ``layer``.
        config: schedule and objective.
    """

    def __init__(
        self, lm: LanguageModel, layer: int, intervention: Intervention, store: ActivationStore, config: TrainConfig
    ) -> None:
        self.lm, self.layer, self.intervention, self.store, self.config = lm, layer, intervention, store, config
        self.codes = prepare_codes(intervention, store.hidden, lm.device)

    def train(self, sets: list[TrainSet], log: Callable[[Row], None], checkpoint: Path | None = None) -> dict[str, Tensor]:
        """Train all sets; returns the vectors after every epoch, ``[epochs, width]`` for each set.

        Every minibatch, direction and learning rate follows from the seed and the step alone, so training that resumes from
        ``checkpoint`` (written after each epoch, removed by the caller) ends in the same vectors and logs the same rows. A
        checkpoint of another training (other pairs, layer, schedule or vectors asked for) is ignored.

        Args:
            sets: what each vector learns from.
            log: receives one row per vector and step, and one per vector and epoch.
            checkpoint: file that lets an interrupted training resume.
        """
        states = [self._start(part) for part in sets]
        optimizer = torch.optim.AdamW(
            [{"params": [state.vector]} for state in states], lr=self.config.lr, weight_decay=self.config.weight_decay
        )
        identity = self._identity(sets)
        first, rows_so_far = self._resume(checkpoint, identity, states, optimizer)
        for row in rows_so_far:
            log(row)

        def record(row: Row) -> None:
            rows_so_far.append(row)
            log(row)

        for step in range(first, max(state.total_steps for state in states)):
            active = [state for state in states if step < state.total_steps]
            rows = self._step(active, step)
            for group, state in zip(optimizer.param_groups, states, strict=True):
                group["lr"] = self.config.lr * lr_scale(step, state.total_steps, self.config.warmup_steps)
                if state in active:
                    nn.utils.clip_grad_norm_([state.vector], self.config.grad_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            for state, row in zip(active, rows, strict=True):
                record({**row, "lr": self.config.lr * lr_scale(step, state.total_steps, self.config.warmup_steps)})
            finished = [state for state in active if (step + 1) % state.steps_per_epoch == 0]
            for state in finished:
                state.epochs.append(state.vector.detach().cpu().clone())
                record({**self._epoch_row(state), "step": step + 1})
            if finished and checkpoint is not None:
                self._save(checkpoint, {"step": step + 1, "identity": identity, "rows": rows_so_far}, states, optimizer)
        return {state.part.name: torch.stack(state.epochs) for state in states}

    def _start(self, part: TrainSet) -> _State:
        steps = math.ceil(len(part.train) / self.config.batch_size)
        vector = nn.Parameter(torch.zeros(self.intervention.width, device=self.lm.device))
        return _State(part, vector, steps, steps * self.config.epochs)

    def _step(self, active: list[_State], step: int) -> list[Row]:
        """Forward and backward of one minibatch per vector; gradients are left on the vectors."""
        batches = [self._minibatch(state, step) for state in active]
        rows = [row for batch, _ in batches for row in batch]
        sizes = [len(batch) for batch, _ in batches]
        signs = torch.tensor([d for _, d in batches], dtype=torch.float32, device=self.lm.device)
        direction = signs.repeat_interleave(torch.tensor(sizes, device=self.lm.device))
        vectors = torch.stack([state.vector for state in active])
        u = (signs[:, None] * vectors).repeat_interleave(torch.tensor(sizes, device=self.lm.device), dim=0)
        margin, _ = self._margins(rows, u)
        losses = torch.stack([part.mean() for part in torch.split(preference_loss(margin, direction, self.config.beta), sizes)])
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return [
            {
                "kind": "step",
                "setting": state.part.name,
                "step": step + 1,
                "epoch": step // state.steps_per_epoch + 1,
                "loss": float(loss),
                "d": int(d),
                "margin": float(part.mean()),
                "norm": float(state.vector.detach().norm()),
            }
            for state, loss, d, part in zip(active, losses.detach(), signs, torch.split(margin.detach(), sizes), strict=True)
        ]

    def _minibatch(self, state: _State, step: int) -> tuple[list[int], int]:
        """Rows and direction d of a step, from the seed and the step alone."""
        epoch, position = divmod(step, state.steps_per_epoch)
        name = list(state.part.name.encode())
        order = np.random.default_rng([self.config.seed, 1, epoch, *name]).permutation(len(state.part.train))
        chosen = order[position * self.config.batch_size : (position + 1) * self.config.batch_size]
        sign = int(np.random.default_rng([self.config.seed, 2, step, *name]).choice([-1, 1]))
        return [state.part.train[i] for i in chosen], sign

    def _margins(self, rows: list[int], u: Tensor) -> tuple[Tensor, Tensor]:
        """m of each row, and how far each steered token was moved, ``[tokens]``."""
        batch, hidden = self.store.batch(rows)
        batch, hidden = batch.to(self.lm.device), hidden.to(self.lm.device)
        codes = None if self.codes is None else _pad_codes([self.codes[i] for i in rows])
        live = batch.real if self.config.steer_bos else batch.real & (batch.positions > 0)
        edited = self.intervention.edit(hidden, codes, u, live)
        masks = self.lm.masks(batch.allowed, batch.positions, batch.positions)
        steered = answer_log_probs(self.lm, edited, self.layer, batch, masks)
        margin = preference_margin(*steered.unbind(1), *self.store.reference[rows].to(self.lm.device).unbind(1))
        return margin, (edited.detach() - hidden)[live].float().norm(dim=-1)

    @torch.no_grad()
    def _epoch_row(self, state: _State) -> Row:
        """Validation loss at d = +1 and size of the vector."""
        losses, moved = [], []
        for rows in _chunks(state.part.validation, 64):
            margin, displacement = self._margins(rows, state.vector.detach().expand(len(rows), -1))
            losses.append(preference_loss(margin, torch.ones_like(margin), self.config.beta))
            moved.append(displacement)
        return {
            "kind": "epoch",
            "setting": state.part.name,
            "epoch": len(state.epochs),
            "validation_loss": float(torch.cat(losses).mean()),
            "norm": float(state.vector.norm()),
            "displacement": float(torch.cat(moved).mean()),
            "l0": int((state.vector != 0).sum()),
        }

    def _identity(self, sets: list[TrainSet]) -> str:
        """Digest of everything that decides the result."""
        pairs = [[pair.prompt, pair.chosen, pair.rejected] for pair in self.store.pairs]
        kind = [self.intervention.digest, self.lm.digest, self.layer]
        return digest([asdict(self.config), [asdict(part) for part in sets], kind, pairs, self.store.reference.tolist()])

    def _save(self, path: Path, header: dict[str, object], states: list[_State], optimizer: torch.optim.Optimizer) -> None:
        tensors: dict[str, Tensor] = {}
        for i, state in enumerate(states):
            tensors[f"{i}.vector"] = state.vector
            tensors |= {f"{i}.{key}": optimizer.state[state.vector][key] for key in ("exp_avg", "exp_avg_sq", "step")}
            if state.epochs:
                tensors[f"{i}.epochs"] = torch.stack(state.epochs)
        save_tensors(path, tensors, header)

    def _resume(
        self, path: Path | None, identity: str, states: list[_State], optimizer: torch.optim.Optimizer
    ) -> tuple[int, list[Row]]:
        """Continue where ``path`` left off: the next step, and the rows logged before it."""
        if path is None or not path.exists():
            return 0, []
        tensors, header = load_tensors(path)
        if header["identity"] != identity:
            return 0, []
        for i, state in enumerate(states):
            with torch.no_grad():
                state.vector.copy_(tensors[f"{i}.vector"])
            optimizer.state[state.vector] = {
                "step": tensors[f"{i}.step"],
                **{key: tensors[f"{i}.{key}"].to(self.lm.device) for key in ("exp_avg", "exp_avg_sq")},
            }
            if f"{i}.epochs" in tensors:
                state.epochs = list(tensors[f"{i}.epochs"])
        return int(header["step"]), list(header["rows"])


def lr_scale(step: int, total: int, warmup: int) -> float:
    """Linear warm-up over ``warmup`` steps, then cosine decay to 0 at ``total``."""
    warmup = min(warmup, total // 2)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def prepare_codes(intervention: Intervention, hidden: list[Tensor], device: torch.device) -> list[Codes] | None:
    """Sparse codes of every pair's tokens, or None for a dense intervention."""
    prepared = [intervention.prepare(states[None].to(device)) for states in hidden]
    codes = [code for code in prepared if code is not None]
    return codes or None


def _pad_codes(codes: list[Codes]) -> Codes:
    """Stack per-pair codes, padding tokens and features with value 0 (no feature fires there)."""
    tokens, most = max(c.ids.shape[1] for c in codes), max(c.ids.shape[2] for c in codes)
    padded = [
        [nn.functional.pad(x[0], (0, most - x.shape[2], 0, tokens - x.shape[1])) for x in (code.ids, code.values)]
        for code in codes
    ]
    return Codes(torch.stack([ids for ids, _ in padded]), torch.stack([values for _, values in padded]))


def _chunks(rows: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
