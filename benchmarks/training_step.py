"""Training steps a second: the published step against ours, on the same pairs, direction and vector.

python -m benchmarks.training_step [--quick]

Both take the same minibatch and the same d in every turn, and ours takes over the published vector before it; losses and
gradients are compared in every turn. Building the activation store is timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks import measure, shapes
from benchmarks.published import PublishedStep
from yapo.config import TrainConfig
from yapo.errors import YapoError
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.training.schedule import Minibatch, minibatches
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

# Every position is steered, BOS included, as published; a larger learning rate than usual, so that losses leave log 2 at once.
CONFIG = TrainConfig(lr=1e-2, epochs=1000, batch_size=4, warmup_steps=0, steer_bos=True)
DEFAULT = ["tiny", "100m", "gemma2-2b", "gemma2-9b"]
TABLE = "training step"
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


class OurStep:
    """``Trainer.train`` cut into single steps."""

    def __init__(self, trainer: Trainer, part: TrainSet) -> None:
        self.trainer = trainer
        self.state = trainer._start(part)
        self.vector = self.state.vector
        self.optimizer = torch.optim.AdamW([self.vector], lr=CONFIG.lr, weight_decay=CONFIG.weight_decay)
        self.loss = 0.0

    def __call__(self, step: int) -> None:
        """One step; the gradient is left on the vector until the next."""
        self.optimizer.zero_grad(set_to_none=True)
        (row,) = self.trainer._step([self.state], step)
        nn.utils.clip_grad_norm_([self.vector], CONFIG.grad_clip)
        self.optimizer.step()
        self.loss = float(str(row["loss"]))

    def minibatch(self, step: int) -> Minibatch:
        """Return the pairs and the direction of a step."""
        (batch,) = minibatches(self.state.part, self.trainer.config, step)
        return batch


class Agreement:
    """The largest differences seen between two ways to take a step."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.loss, self.gradient = tolerance, 0.0, 0.0

    def check(self, loss: float, expected: float, gradient: torch.Tensor, expected_gradient: torch.Tensor) -> None:
        """Compare, relative to what is expected.

        Raises:
            YapoError: they differ by more than the tolerance.
        """
        self.loss = max(self.loss, abs(loss - expected) / abs(expected))
        self.gradient = max(self.gradient, float((gradient - expected_gradient).norm() / expected_gradient.norm()))
        if self.loss > self.tolerance or self.gradient > 100 * self.tolerance:
            raise YapoError(
                f"loss {loss} against {expected}, gradient off by {self.gradient:.2g}: the two steps are not the same"
            )


def published_bytes(shape: shapes.Shape) -> float:
    """Most bytes that the published step holds at once beside the weights: logits of all positions, and codes of all features."""
    tokens = 2 * CONFIG.batch_size * shape.longest()
    logits = 4 * tokens * shape.vocabulary * 4  # bf16 or float32 copies of the capped logits, their log-softmax and gradient
    return logits + 4 * tokens * shape.d_sae * 4


def compare(
    setup: shapes.Setup, space: str, store: ActivationStore, seconds: float, repeats: int, report: measure.Report
) -> None:
    """One row: published against ours.

    Args:
        setup: model, autoencoder, pairs.
        space: "dense" (BiPO) or "sparse" (YaPO).
        store: of all pairs.
        seconds: what building it took.
        repeats: turns.
        report: receives the row.
    """
    lm, shape = setup.lm, setup.shape
    trainer = Trainer(lm, shape.layer, Dense(lm.d_model) if space == "dense" else Sparse(setup.sae), store, CONFIG)
    ours = OurStep(trainer, TrainSet("all", list(range(len(setup.pairs))), []))
    published = PublishedStep(setup.plain, lm.tokenizer.pad, shape.layer, setup.sae if space == "sparse" else None, CONFIG)
    with torch.no_grad():  # not at 0, where every loss is log 2
        ours.vector.normal_(std=0.1, generator=torch.Generator(lm.device).manual_seed(0))
    agreement = Agreement(TOLERANCE[shape.dtype])
    expand = trainer.intervention.expand
    expected = 0.0

    def run_published(turn: int) -> None:
        nonlocal expected
        batch = ours.minibatch(turn)
        expected = published([setup.pairs[i] for i in batch.rows], batch.d)

    both: list[tuple[str, Callable[[int], None]]] = [("published", run_published), ("ours", ours)]
    times: measure.Times = {"published": [], "ours": []}
    for turn in range(repeats + 1):
        with torch.no_grad():
            published.vector.copy_(expand(ours.vector))
        order = both[:: 1 if turn % 2 == 0 else -1]
        for name, run in order:
            measure.synchronize(lm.device)
            start = time.perf_counter()
            run(turn)
            measure.synchronize(lm.device)
            if turn > 0:
                times[name].append(time.perf_counter() - start)
        assert ours.vector.grad is not None and published.vector.grad is not None
        agreement.check(ours.loss, expected, expand(ours.vector.grad), published.vector.grad)

    slow, fast = measure.median(times["published"]), measure.median(times["ours"])
    by_turn = measure.ratios(times["published"], times["ours"])
    paid = seconds / (slow - fast) if slow > fast else float("inf")
    report.add(
        TABLE,
        {
            "shape": shape.name,
            "method": "BiPO" if space == "dense" else "YaPO",
            "threads": torch.get_num_threads(),
            "published, steps/s": 1 / slow,
            "ours, steps/s": 1 / fast,
            "ratio": measure.median(by_turn),
            "quartiles": measure.quartiles(by_turn),
            "store, s": seconds,
            "pairs": len(setup.pairs),
            "paid for after steps": paid,
            "in epochs": paid * CONFIG.batch_size / len(setup.pairs),
            "features trained": trainer.intervention.width,
            "loss differs by": agreement.loss,
            "gradient by": agreement.gradient,
            "published, peak GB": measure.peak_gigabytes(lambda: run_published(0), lm.device),
            "ours, peak GB": measure.peak_gigabytes(lambda: ours(0), lm.device),
        },
    )


def ours_alone(setup: shapes.Setup, store: ActivationStore, repeats: int, report: measure.Report) -> None:
    """A shape of which only the upper blocks are resident: our step, without anything to compare."""
    lm = setup.lm
    for method, intervention in (("BiPO", Dense(lm.d_model)), ("YaPO", Sparse(setup.sae))):
        trainer = Trainer(lm, setup.shape.layer, intervention, store, CONFIG)
        ours = OurStep(trainer, TrainSet("all", list(range(len(setup.pairs))), []))
        seconds = measure.take_turns({"ours": ours}, repeats, lm.device)["ours"]
        report.add(
            "our step, upper blocks only",
            {
                "shape": setup.shape.name,
                "method": method,
                "ours, steps/s": 1 / measure.median(seconds),
                "quartiles, s": measure.quartiles(seconds),
                "features trained": trainer.intervention.width,
                "ours, peak GB": measure.peak_gigabytes(partial(ours, 0), lm.device),
            },
        )


def thread_counts(name: str) -> list[int]:
    """Return the numbers of threads: all, and for the shipped world also one, as a job of the embedded study has."""
    every = torch.get_num_threads()
    return sorted({1, every}) if name == "tiny" else [every]


def main() -> None:
    """Run the shapes asked for."""
    options = measure.options("training steps a second: published against ours", DEFAULT, ["tiny", "small"])
    report = measure.Report("training_step", {"batch": CONFIG.batch_size, "seed": options.seed, "steered": "all positions"})
    for name in options.shapes:
        shape = shapes.SHAPES[name]
        number, repeats = (8, 2) if options.quick else (256, 40) if name == "tiny" else (32, 7)
        whole = shape.first == 0
        reason = shapes.why_not(shape, options.device, published_bytes(shape) if whole else 0.0)
        if not reason and options.device.type == "cpu" and shape.parameters > 10**9:
            reason = f"{name}: a published step takes minutes on a CPU; it runs where there is a GPU"
        if reason:
            report.skip(reason)
            continue
        setup = shapes.make(shape, options.device, number, options.seed)
        if not whole:
            ours_alone(setup, shapes.synthetic_store(setup, options.seed), repeats, report)
            continue
        measure.synchronize(options.device)
        start = time.perf_counter()
        store = build_store(setup.lm, shape.layer, setup.sae, setup.pairs, 4 if shape.d_model > 1000 else 16)
        seconds = time.perf_counter() - start
        report.add(
            "pairs",
            {
                "shape": name,
                "pairs": len(setup.pairs),
                "tokens of a pair": float(np.mean([len(pair.tokens) for pair in setup.pairs])),
                "read by both answers": float(np.mean([len(pair.prompt) for pair in setup.pairs])),
                "features on a token": float(np.mean([codes.counts.float().mean() for codes in store.codes])),
                "store, MB": store.size / 1e6,
            },
        )
        for threads in thread_counts(name):
            torch.set_num_threads(threads)
            for space in ("dense", "sparse"):
                compare(setup, space, store, seconds, repeats, report)
        del setup, store
    report.finish(options)


if __name__ == "__main__":
    main()
