"""Time of a training step by part, beside the time that its arithmetic needs.

python -m benchmarks.profile_step [--quick]

The parts are those of ``Trainer._pass``, cut at the edit and at the last block so that forward and backward can be timed
apart. The arithmetic limit counts the multiply-adds that no exact method avoids (real tokens only, the last block only where
an answer is read, input gradients only) and divides them by the rate at which this machine, in this run, multiplies matrices
of the blocks' own shapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import measure, shapes
from benchmarks.training_step import CONFIG, OurStep
from yapo.models.language_model import LanguageModel
from yapo.steering.activations import build_store
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.objective import preference_loss, preference_margin
from yapo.steering.pair_batch import PairBatch
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

TOP = 12  # operations listed
PARTS = (
    "batch assembly",
    "edit, forward",
    "masks and upper blocks, forward",
    "head, forward and its gradient",
    "loss and head, backward",
    "upper blocks, backward",
    "edit, backward",
    "clip and AdamW",
)
BLOCKS = ("masks and upper blocks, forward", "upper blocks, backward")
HEAD = ("head, forward and its gradient", "loss and head, backward")


@dataclass(frozen=True)
class Work:
    """Floating-point operations (two a multiply-add) of one step, forward and backward."""

    blocks: float
    head: float


class Clock:
    """Seconds of each part, step after step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.parts: dict[str, list[float]] = {name: [] for name in PARTS}
        self._last = 0.0

    def start(self) -> None:
        """Begin a step."""
        measure.synchronize(self.device)
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Count the time since the last call for this part."""
        measure.synchronize(self.device)
        now = time.perf_counter()
        self.parts[part].append(now - self._last)
        self._last = now


def timed_step(ours: OurStep, step: int, clock: Clock) -> None:
    """One step of a single vector, cut into parts."""
    trainer, lm = ours.trainer, ours.trainer.lm
    ours.optimizer.zero_grad(set_to_none=True)
    clock.start()
    minibatch = ours.minibatch(step)
    rows, d = minibatch.rows, minibatch.d
    batch, hidden = trainer.store.batch(rows)
    batch, hidden = batch.to(lm.device), hidden.to(lm.device)
    codes = SparseCodes.packed([trainer.codes[i] for i in rows], batch).to(lm.device)
    owner = torch.zeros(1, 1, dtype=torch.long, device=lm.device)
    clock.lap("batch assembly")
    edited = trainer.intervention.edit(hidden, codes, trainer.intervention.edit_state(d * ours.vector[None]), owner, batch.real)
    bottom = edited.detach().requires_grad_()
    clock.lap("edit, forward")
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    top = lm.blocks(bottom, trainer.layer + 1, lm.n_layers, batch.positions, masks, read=batch.read)
    output = top.detach().requires_grad_()
    clock.lap("masks and upper blocks, forward")
    tokens, rows_of = batch.source.unique(return_inverse=True)
    log_probs = lm.target_log_probs(output.reshape(-1, lm.d_model)[tokens], rows_of, batch.target)
    clock.lap("head, forward and its gradient")
    summed = torch.zeros(2 * len(rows), device=lm.device).index_add(0, batch.owner, log_probs).reshape(-1, 2)
    margin = preference_margin(*summed.unbind(1), *trainer.store.reference[rows].to(lm.device).unbind(1))
    preference_loss(margin, torch.full_like(margin, d), CONFIG.beta).mean().backward()  # type: ignore[no-untyped-call]
    clock.lap("loss and head, backward")
    top.backward(output.grad)  # type: ignore[no-untyped-call]
    clock.lap("upper blocks, backward")
    edited.backward(bottom.grad)  # type: ignore[no-untyped-call]
    clock.lap("edit, backward")
    nn.utils.clip_grad_norm_([ours.vector], CONFIG.grad_clip)
    ours.optimizer.step()
    clock.lap("clip and AdamW")


def _parts(ours: OurStep, clock: Clock, _turn: int) -> None:
    timed_step(ours, 0, clock)


def _whole(ours: OurStep, _turn: int) -> None:
    ours(0)


def work(shape: shapes.Shape, batch: PairBatch) -> Work:
    """Arithmetic of one step above the steered layer."""
    tokens, heads = int(batch.real.sum()), shape.heads * shape.head_dim
    keys_values = 2 * shape.d_model * shape.kv_heads * shape.head_dim
    near = batch.positions[:, :, None] - batch.positions[:, None, :] < shape.window
    real = batch.real[:, :, None] & batch.real[:, None, :] & batch.allowed
    read = torch.zeros_like(batch.real).scatter(1, batch.read, True) & batch.real
    forward, attention = 0.0, 0.0
    for layer in range(shape.layer + 1, shape.layers):
        pairs = real & near if layer % 2 == 0 else real  # Gemma-2: even blocks slide
        if layer < shape.layers - 1:
            forward += 2 * shape.block_parameters * tokens
        else:
            forward += 2 * (keys_values * tokens + (shape.block_parameters - keys_values) * int(read.sum()))
            pairs = pairs & read[:, :, None]
        attention += 4 * heads * int(pairs.sum())
    # Backward: one product a linear layer (input gradient), two for each of attention's.
    return Work(2 * forward + 3 * attention, 4 * shape.d_model * shape.vocabulary * len(batch.target))


def matmul_rate(lm: LanguageModel, shape: shapes.Shape, tokens: int, repeats: int) -> float:
    """Operations a second in the products of one block, forward and input gradient, at this many tokens."""
    block = lm.model.model.layers[shape.layers - 1]
    attention, mlp = block.self_attn, block.mlp
    layers = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj)
    weights: list[Tensor] = [layer.weight for layer in layers]
    inputs = [torch.randn(tokens, weight.shape[1], device=lm.device, dtype=lm.dtype) for weight in weights]
    outputs = [torch.randn(tokens, weight.shape[0], device=lm.device, dtype=lm.dtype) for weight in weights]

    def products(_turn: int) -> None:
        for weight, x, y in zip(weights, inputs, outputs, strict=True):
            nn.functional.linear(x, weight)
            y @ weight

    seconds = measure.median(measure.take_turns({"products": products}, repeats, lm.device)["products"])
    return 4 * tokens * shape.block_parameters / seconds


def top_operations(run: Callable[[int], object], steps: int, shape: str, report: measure.Report) -> None:
    """The operations that take most time of their own, by torch's profiler."""
    cuda = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as found:
        for step in range(steps):
            run(step)
    events = found.key_averages()
    times = {event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in events}
    total = sum(times.values())
    for event in sorted(events, key=lambda event: -times[event.key])[:TOP]:
        report.add(
            f"operations by torch.profiler, {shape}",
            {
                "operation": event.key,
                "calls a step": event.count / steps,
                "own µs a step": times[event.key] / steps,
                "share, %": 100 * times[event.key] / total,
            },
        )


def measure_shape(shape: shapes.Shape, options: measure.Options, report: measure.Report) -> None:
    """Measure one shape and add its tables to the report."""
    number, repeats = (8, 3) if options.quick else (64, 40) if shape.name == "tiny" else (24, 7)
    setup = shapes.make(shape, options.device, number, options.seed)
    store = (
        build_store(setup.lm, shape.layer, setup.sae, setup.pairs, 4)
        if shape.first == 0
        else shapes.synthetic_store(setup, options.seed)
    )
    for method, intervention in (("BiPO", Dense(shape.d_model)), ("YaPO", Sparse(setup.sae))):
        trainer = Trainer(setup.lm, shape.layer, intervention, store, CONFIG)
        ours = OurStep(trainer, TrainSet("all", list(range(number)), []))
        with torch.no_grad():
            ours.vector.normal_(std=0.1, generator=torch.Generator(setup.lm.device).manual_seed(options.seed))
        # The same minibatch in every turn, so that parts, whole step and limit are about the same tokens.
        rows = ours.minibatch(0).rows
        batch, _ = store.batch(rows)
        clock = Clock(options.device)
        turns = {"parts": partial(_parts, ours, clock), "whole": partial(_whole, ours)}
        whole = measure.take_turns(turns, repeats, options.device)["whole"]
        parts = {name: measure.median(seconds[1:]) for name, seconds in clock.parts.items()}
        total = sum(parts.values())
        for name, seconds in parts.items():
            report.add(
                f"parts of a step, {shape.name} {method}", {"part": name, "µs": 1e6 * seconds, "share, %": 100 * seconds / total}
            )
        tokens, needed = int(batch.real.sum()), work(shape, batch)
        rate = matmul_rate(setup.lm, shape, tokens, repeats)
        blocks, head = (sum(parts[name] for name in names) for names in (BLOCKS, HEAD))
        report.add(
            "distance from the arithmetic limit",
            {
                "shape": shape.name,
                "method": method,
                "step, ms": 1e3 * measure.median(whole),
                "real tokens": tokens,
                "of padded": batch.real.numel(),
                "matmul, GFLOP/s": rate / 1e9,
                "blocks, GFLOP": needed.blocks / 1e9,
                "limit, ms": 1e3 * needed.blocks / rate,
                "measured, ms": 1e3 * blocks,
                "times the limit": blocks * rate / needed.blocks,
                "head, times its limit": head * rate / needed.head,
                "step, times both": measure.median(whole) * rate / (needed.blocks + needed.head),
            },
        )
    top_operations(ours, 3 if options.quick else 10, f"{shape.name} YaPO", report)


def main() -> None:
    """Run the shapes asked for."""
    options = measure.options("where a training step's time goes", ["tiny", "100m", "gemma2-2b", "gemma2-9b"], ["tiny"])
    report = measure.Report("profile_step", {"batch": CONFIG.batch_size, "seed": options.seed})
    for name in options.shapes:
        shape = shapes.SHAPES[name]
        reason = shapes.why_not(shape, options.device)
        if not reason and options.device.type == "cpu" and shape.parameters > 10**9:
            reason = f"{name}: left to machines with a GPU"
        if reason:
            report.skip(reason)
        else:
            measure_shape(shape, options, report)
    report.finish(options)


if __name__ == "__main__":
    main()
