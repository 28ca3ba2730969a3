"""Train steering vectors by preference, several at once.

Vectors (of several settings, seeds, multipliers, or countries whose stores are joined) share forward passes: a step takes one
minibatch per vector, gives every row the displacement of its own vector, and sums the losses. The model is frozen, so the
gradients do not mix and the result is that of training them one by one (``tests/steering/test_trainer.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from yapo.config import TrainConfig
from yapo.errors import YapoError
from yapo.files import digest
from yapo.steering.codes import Codes
from yapo.steering.intervention import Intervention
from yapo.steering.margins import Steered, chunks, steered
from yapo.steering.objective import preference_loss
from yapo.steering.sets import TrainSet
from yapo.steering.store import ActivationStore
from yapo.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

Row = dict[str, object]


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
        store: pairs with their frozen quantities at ``layer``; codes of the autoencoder that a sparse intervention edits.
        config: schedule and objective.
    """

    def __init__(
        self, lm: LanguageModel, layer: int, intervention: Intervention, store: ActivationStore, config: TrainConfig
    ) -> None:
        needed, found = (lm.digest, str(lm.dtype), layer), (store.key.model, store.key.dtype, store.key.layer)
        if needed != found:
            raise YapoError(f"activations of model, type, layer {found} cannot train {needed}; run the stage prepare again")
        self.lm, self.layer, self.store, self.config = lm, layer, store, config
        seen = store.codes if config.steer_bos else [_without_bos(codes) for codes in store.codes]
        fitted, self.codes = intervention.fitted(seen)
        self.intervention = fitted.to(lm.device)

    def train(
        self,
        sets: list[TrainSet],
        log: Callable[[Row], None],
        checkpoint: Path | None = None,
        starts: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Train all sets; returns the vectors after every epoch, ``[epochs, width]`` for each set.

        Every minibatch, direction and learning rate follows from the seed and the step alone, so training that resumes from
        ``checkpoint`` (written after each epoch, removed by the caller) ends in the same vectors and logs the same rows. A
        checkpoint of another training (other pairs, layer, schedule or vectors asked for) is ignored.

        Args:
            sets: what each vector learns from.
            log: receives one row per vector and step, and one per vector and epoch.
            checkpoint: file that lets an interrupted training resume.
            starts: the vector that each set starts from, by its name, as wide as those returned; zero if None.
        """
        states = [self._start(part, None if starts is None else starts[part.name]) for part in sets]
        optimizer = torch.optim.AdamW(
            [{"params": [state.vector]} for state in states], lr=self.config.lr, weight_decay=self.config.weight_decay
        )
        identity = self._identity(sets, starts)
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
        return {state.part.name: self.intervention.widen(torch.stack(state.epochs)) for state in states}

    def _start(self, part: TrainSet, start: Tensor | None = None) -> _State:
        steps = math.ceil(len(part.train) / self.config.batch_size)
        vector = nn.Parameter(torch.zeros(self.intervention.width, device=self.lm.device))
        if start is not None:
            trained = self.intervention.widen(torch.ones(self.intervention.width, device=self.lm.device)) > 0
            with torch.no_grad():
                vector.copy_(start.to(self.lm.device)[trained])
        return _State(part, vector, steps, steps * self.config.epochs)

    def _step(self, active: list[_State], step: int) -> list[Row]:
        """Forward and backward of one minibatch per vector; gradients are left on the vectors."""
        return [row for states in self._passes(active) for row in self._pass(states, step)]

    def _passes(self, active: list[_State]) -> Iterator[list[_State]]:
        """Vectors that share a forward pass: as many as ``rows_per_pass`` allows, one at least."""
        together = max(1, self.config.rows_per_pass // self.config.batch_size)
        for start in range(0, len(active), together):
            yield active[start : start + together]

    def _pass(self, states: list[_State], step: int) -> list[Row]:
        batches = [self._minibatch(state, step) for state in states]
        sizes = [len(batch) for batch, _ in batches]
        signs = torch.tensor([d for _, d in batches], dtype=torch.float32, device=self.lm.device)
        scale = signs * torch.tensor([state.part.multiplier for state in states], device=self.lm.device)
        u = scale[:, None] * torch.stack([state.vector for state in states])
        owner = torch.arange(len(states)).repeat_interleave(torch.tensor(sizes)).to(self.lm.device)
        done = self._steered([row for batch, _ in batches for row in batch], u, owner)
        margin, moved = done.margin, done.displacement(owner, len(states))
        losses = torch.stack([p.mean() for p in preference_loss(margin, signs[owner], self.config.beta).split(sizes)])  # type: ignore[no-untyped-call]
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
                "displacement": float(displacement),
            }
            for state, loss, d, part, displacement in zip(
                states,
                losses.detach(),
                signs,
                margin.detach().split(sizes),  # type: ignore[no-untyped-call]
                moved,
                strict=True,
            )
        ]

    def _minibatch(self, state: _State, step: int) -> tuple[list[int], int]:
        """Rows and direction d of a step, from the seed and the step alone."""
        epoch, position = divmod(step, state.steps_per_epoch)
        name = list(state.part.name.encode())
        seed = self.config.seed if state.part.seed is None else state.part.seed
        order = np.random.default_rng([seed, 1, epoch, *name]).permutation(len(state.part.train))
        chosen = order[position * self.config.batch_size : (position + 1) * self.config.batch_size]
        signs = [-1, 1] if self.config.directions == "both" else [1]
        sign = int(np.random.default_rng([seed, 2, step, *name]).choice(signs))
        return [state.part.train[i] for i in chosen], sign

    def _steered(self, rows: list[int], u: Tensor, owner: Tensor) -> Steered:
        """Pairs of the store, steered by ``u[owner]``."""
        return steered(self.lm, self.layer, self.intervention, self.store, self.codes, rows, u, owner, self.config.steer_bos)

    @torch.no_grad()
    def _epoch_row(self, state: _State) -> Row:
        """Validation loss at d = +1 and size of the vector."""
        losses, moved = [], []
        u = state.part.multiplier * state.vector.detach()[None]
        by_length = sorted(state.part.validation, key=lambda i: len(self.store.hidden[i]))
        for rows in chunks(by_length, self.config.rows_per_pass):
            done = self._steered(rows, u, torch.zeros(len(rows), dtype=torch.long, device=self.lm.device))
            losses.append(preference_loss(done.margin, torch.ones_like(done.margin), self.config.beta))
            moved.append(done.change.float().norm(dim=-1))
        return {
            "kind": "epoch",
            "setting": state.part.name,
            "epoch": len(state.epochs),
            "validation_loss": float(torch.cat(losses).mean()),
            "norm": float(state.vector.norm()),
            "displacement": float(torch.cat(moved).mean()),
            "l0": int((state.vector != 0).sum()),
        }

    def _identity(self, sets: list[TrainSet], starts: Mapping[str, Tensor] | None) -> str:
        """Digest of everything that decides the result."""
        parts = [asdict(part) for part in sets]
        first = None if starts is None else {part.name: starts[part.name].tolist() for part in sets}
        edit = [self.intervention.digest, self.intervention.width]
        return digest([asdict(self.config), parts, first, edit, asdict(self.store.key)])

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


def _without_bos(codes: Codes) -> Codes:
    """Codes of one row without those of its first token, which is not steered."""
    steered = torch.ones_like(codes.counts, dtype=torch.bool)
    steered[:, 0] = False
    return codes.live(steered)
