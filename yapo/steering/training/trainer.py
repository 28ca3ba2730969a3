"""Train steering vectors by preference, several at once.

Vectors (of several settings, seeds, multipliers, or countries whose stores are joined) share forward passes: a step takes one
minibatch per vector, steers every row by its own vector, and sums the losses. The model is frozen, so the gradients do not mix
and the result is that of training them one by one (``tests/steering/test_trainer.py``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from yapo.config import TrainConfig
from yapo.errors import YapoError
from yapo.files import digest
from yapo.steering.activations import ActivationStore
from yapo.steering.interventions import Intervention
from yapo.steering.objective import Objective, Preference, SteeredPairs, chunks, steer_pairs
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.checkpoint import LogRow, VectorState, resume, save_checkpoint
from yapo.steering.training.prefetch import PrefetchedSteps
from yapo.steering.training.schedule import Minibatch, learning_rate, minibatches, steps_per_epoch
from yapo.steering.training.train_sets import TrainSet

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

log = logging.getLogger(__name__)
LOGGED_TOGETHER = 32  # steps whose numbers a GPU keeps before the host asks for them


class _NotFinite(YapoError):
    """A training whose numbers are no longer finite."""


class Trainer:
    """Trains one vector per set on one store.

    Args:
        lm: the frozen model; only its blocks above ``layer`` run.
        layer: 0-based block whose output is steered.
        intervention: dense or sparse.
        store: pairs with their frozen quantities at ``layer``; codes of the autoencoder that a sparse intervention edits.
        config: schedule.
        objective: what training lowers; the preference objective with the configured β if None.
        multipliers: of v, one drawn for each minibatch.
    """

    def __init__(
        self,
        lm: LanguageModel,
        layer: int,
        intervention: Intervention,
        store: ActivationStore,
        config: TrainConfig,
        objective: Objective | None = None,
        multipliers: Sequence[float] = (1.0,),
    ) -> None:
        store.check(model=lm.digest, dtype=str(lm.dtype), layer=layer)
        self.lm, self.layer, self.store, self.config = lm, layer, store, config
        self.objective, self.multipliers = objective or Preference(config.beta), tuple(multipliers)
        seen = store.codes if config.steer_bos else [_without_bos(codes) for codes in store.codes]
        fitted, self.codes = intervention.compact(seen)
        self.intervention = fitted.to(lm.device)
        self.fast: PrefetchedSteps | None = None
        if config.engine == "laid out" or (config.engine == "auto" and lm.device.type != "cpu"):
            self.fast = PrefetchedSteps(lm, layer, self.intervention, store, self.codes, config, self.objective)

    def train(
        self,
        sets: list[TrainSet],
        log: Callable[[LogRow], None],
        checkpoint: Path | None = None,
        starts: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Train all sets; returns the vectors after every epoch, ``[epochs, width]`` for each set.

        Every minibatch, direction and learning rate follows from the seed and the step alone, so training that resumes from
        ``checkpoint`` (written after each epoch, removed by the caller) ends in the same vectors and logs the same rows. A
        damaged checkpoint, or one of another training (other pairs, layer, schedule or vectors asked for), is ignored.

        Args:
            sets: what each vector learns from.
            log: receives one row per vector and step, and one per vector and epoch.
            checkpoint: file that lets an interrupted training resume.
            starts: the vector that each set starts from, by its name, as wide as those returned; zero if None.

        Raises:
            YapoError: a number is no longer finite; says which and at which step, and removes the checkpoint.
        """
        states = [self._start(part, None if starts is None else starts[part.name]) for part in sets]
        try:
            self._run(states, log, checkpoint, self._identity(sets, starts))
        except _NotFinite:
            if checkpoint is not None:
                checkpoint.unlink(missing_ok=True)
            raise
        return {state.part.name: self.intervention.expand(torch.stack(state.epochs)) for state in states}

    def _run(self, states: list[VectorState], log: Callable[[LogRow], None], checkpoint: Path | None, identity: str) -> None:
        """Run all steps; each state receives its vector after every epoch."""
        groups, cuda = [{"params": [state.vector]} for state in states], self.lm.device.type == "cuda"
        optimizer = torch.optim.AdamW(groups, lr=self.config.lr, weight_decay=self.config.weight_decay, fused=cuda or None)
        first, rows_so_far = resume(checkpoint, identity, states, optimizer)
        for row in rows_so_far:
            log(row)

        def record(row: LogRow) -> None:
            self._check_finite(row)
            rows_so_far.append(row)
            log(row)

        last = max(state.total_steps for state in states)
        if self.fast is not None and self.config.compile_from is not None and last - first >= self.config.compile_from:
            self.fast.compile()
        waiting: list[tuple[Tensor, Callable[[Tensor], list[LogRow]]]] = []
        for step in range(first, last):
            active = [state for state in states if step < state.total_steps]
            waiting.append(self._launch(active, step))
            self._update(optimizer, states, active, step)
            finished = [state for state in active if (step + 1) % state.steps_per_epoch == 0]
            if finished or len(waiting) == (1 if self.fast is None else LOGGED_TOGETHER):
                for row in [row for measured, rows in waiting for row in rows(measured)]:
                    record(row)
                waiting.clear()
            for state in finished:
                state.epochs.append(state.vector.detach().cpu().clone())
                record({**self._epoch_row(state), "step": step + 1})
            if finished and checkpoint is not None:
                save_checkpoint(checkpoint, identity, step + 1, rows_so_far, states, optimizer)

    def _update(self, optimizer: torch.optim.Optimizer, states: list[VectorState], active: list[VectorState], step: int) -> None:
        """Clip the gradients that a step left on the vectors, and move the vectors by them."""
        for group, state in zip(optimizer.param_groups, states, strict=True):
            group["lr"] = learning_rate(self.config, step, state.total_steps)
            if state in active:
                nn.utils.clip_grad_norm_([state.vector], self.config.grad_clip)
        try:
            optimizer.step()
        except RuntimeError as error:  # torch raises it for a rate beyond float32
            if "overflow" not in str(error):
                raise
            names = ", ".join(state.part.name for state in active)
            raise _NotFinite(
                f"train.lr={self.config.lr:g}: the update of {names} overflows at step {step + 1}; lower it"
            ) from None
        optimizer.zero_grad(set_to_none=True)

    def _start(self, part: TrainSet, start: Tensor | None = None) -> VectorState:
        steps = steps_per_epoch(part, self.config)
        vector = nn.Parameter(torch.zeros(self.intervention.width, device=self.lm.device))
        if start is not None:
            trained = self.intervention.expand(torch.ones(self.intervention.width, device=self.lm.device)) > 0
            start = start.to(self.lm.device)
            with torch.no_grad():
                vector.copy_(start[trained])
            left_out = int((start[~trained] != 0).sum())
            if left_out:
                log.warning(
                    "%s: %d entries of its start are left out, those of features that fire on no token; "
                    "method.options.features=all keeps them",
                    part.name,
                    left_out,
                )
        return VectorState(part, vector, steps, steps * self.config.epochs)

    def _step(self, active: list[VectorState], step: int) -> list[LogRow]:
        """Forward and backward of the minibatches of a step, with its rows to log; gradients are left on the vectors."""
        measured, rows = self._launch(active, step)
        return rows(measured)

    def _launch(self, active: list[VectorState], step: int) -> tuple[Tensor, Callable[[Tensor], list[LogRow]]]:
        """Forward and backward of the minibatches of a step; gradients are left on the vectors.

        Returns:
            Loss, margin, norm and displacement of each minibatch, ``[minibatches, 4]`` on the device, and what makes rows to log
            of them, so that the host need not wait for the device.
        """
        work = self._work(active, step)
        if self.fast is None:
            passes = chunks(work, max(1, self.config.rows_per_pass // self.config.batch_size))
            measured = torch.cat([self._pass(part) for part in passes])
        else:
            after = [state for state in active if step + 1 < state.total_steps]
            measured = self.fast(step, work, lambda: self._work(after, step + 1))
        return measured, partial(self._rows, active, work, step)

    def _work(self, active: list[VectorState], step: int) -> list[tuple[VectorState, Minibatch]]:
        """Return the minibatches of a step, each with the vector that it moves."""
        return [(state, batch) for state in active for batch in minibatches(state.part, self.config, step, self.multipliers)]

    def _rows(
        self, active: list[VectorState], work: list[tuple[VectorState, Minibatch]], step: int, measured: Tensor
    ) -> list[LogRow]:
        """Return one row to log for each vector, from what ``_step`` measured."""
        rows: list[LogRow] = []
        grouped = measured.reshape(len(active), self.config.processes, -1).tolist()
        for i, (state, of_state) in enumerate(zip(active, grouped, strict=True)):
            loss, margin, norm, displacement = (sum(column) / len(column) for column in zip(*of_state, strict=True))
            directions = [batch.d for _, batch in work[i * self.config.processes : (i + 1) * self.config.processes]]
            rows.append(
                {
                    "kind": "step",
                    "setting": state.part.name,
                    "step": step + 1,
                    "epoch": step // state.steps_per_epoch + 1,
                    "loss": loss,
                    "d": directions[0] if len(set(directions)) == 1 else sum(directions) / len(directions),
                    "margin": margin,
                    "norm": norm,
                    "displacement": displacement,
                    "lr": learning_rate(self.config, step, state.total_steps),
                }
            )
        return rows

    def _pass(self, work: list[tuple[VectorState, Minibatch]]) -> Tensor:
        """Forward and backward of minibatches together: loss, margin, norm, displacement of each, ``[minibatches, 4]``."""
        vectors, device = [state.vector for state, _ in work], self.lm.device
        sizes = [len(batch.rows) for _, batch in work]
        signs = torch.tensor([batch.d for _, batch in work], dtype=torch.float32, device=device)
        scale = signs * torch.tensor([state.part.multiplier * batch.multiplier for state, batch in work], device=device)
        u = scale[:, None] * torch.stack(list(vectors))
        owner = torch.arange(len(work)).repeat_interleave(torch.tensor(sizes)).to(device)
        done = self._steered([row for _, batch in work for row in batch.rows], u, owner)
        losses = self.objective(done.log_probs, signs[owner]).split(sizes)  # type: ignore[no-untyped-call]
        loss = torch.stack([part.mean() for part in losses])
        (loss.sum() / self.config.processes).backward()  # type: ignore[no-untyped-call]
        margins = done.margin.detach().split(sizes)  # type: ignore[no-untyped-call]
        margin = torch.stack([part.mean() for part in margins])
        norm = torch.stack([vector.detach().norm() for vector in vectors])
        return torch.stack([loss.detach(), margin, norm, done.displacement(owner, len(work))], dim=1)

    def _steered(self, rows: list[int], u: Tensor, owner: Tensor) -> SteeredPairs:
        return steer_pairs(self.lm, self.layer, self.intervention, self.store, self.codes, rows, u, owner, self.config.steer_bos)

    @torch.no_grad()
    def _epoch_row(self, state: VectorState) -> LogRow:
        """Return the validation loss at d = +1 and size of the vector."""
        losses, moved = [], []
        u = state.part.multiplier * state.vector.detach()[None]
        by_length = sorted(state.part.validation, key=lambda i: len(self.store.hidden[i]))
        for rows in chunks(by_length, self.config.rows_per_pass):
            done = self._steered(rows, u, torch.zeros(len(rows), dtype=torch.long, device=self.lm.device))
            losses.append(self.objective(done.log_probs, torch.ones_like(done.margin)))
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

    def _check_finite(self, row: LogRow) -> None:
        """Stop at a logged number that is infinite or not a number. Rows are on the host, so this costs the device nothing."""
        for key, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise _NotFinite(
                    f"train.lr={self.config.lr:g}: the {key} of {row['setting']} is {value} at step {row['step']}; lower it, or "
                    "check the model and the autoencoder if this is step 1"
                )

    def _identity(self, sets: list[TrainSet], starts: Mapping[str, Tensor] | None) -> str:
        parts = [asdict(part) for part in sets]
        first = None if starts is None else {part.name: starts[part.name].tolist() for part in sets}
        edit = [self.intervention.digest, self.intervention.width]
        aim = [repr(self.objective), self.multipliers]
        return digest([asdict(self.config), parts, first, edit, asdict(self.store.key), aim])


def _without_bos(codes: SparseCodes) -> SparseCodes:
    """Return codes of one row without those of its first token, which is not steered."""
    steered = torch.ones_like(codes.counts, dtype=torch.bool)
    steered[:, 0] = False
    return codes.live(steered)
