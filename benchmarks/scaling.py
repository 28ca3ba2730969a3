"""Growth of the cost of training with examples, epochs, prompt length, width of the autoencoder, and vectors in a pass.

python -m benchmarks.scaling [--quick]

Each size is measured in turn with all others of its sweep. The fit is a line (cost = a + b·size) and an exponent
(cost ~ size^b); the figure is docs/images/scaling.svg.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks import measure, shapes
from benchmarks.published import PublishedStep
from benchmarks.training_step import OurStep
from yapo.config import TrainConfig
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Sparse
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

matplotlib.use("svg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "scaling.svg"
CONFIG = TrainConfig(lr=1e-3, epochs=1, batch_size=4, warmup_steps=0, steer_bos=True)
OURS, PUBLISHED = "ours", "published"


@dataclass
class Curve:
    """Median seconds at each size, by one way to train; ``quartiles`` are those of the seconds."""

    sizes: list[float]
    seconds: list[float]
    quartiles: list[tuple[float, float]]

    @classmethod
    def of(cls, times: measure.Times) -> Curve:
        """From times named by their size."""
        quartiles = [tuple(float(q) for q in np.quantile(values, [0.25, 0.75])) for values in times.values()]
        return cls([float(size) for size in times], [measure.median(v) for v in times.values()], quartiles)  # type: ignore[arg-type]


Sweep = dict[str, Curve]


def _train(setup: shapes.Setup, store: ActivationStore, groups: list[list[TrainSet]], config: TrainConfig, _turn: int) -> None:
    """Whole trainings, one of each group after the other, epochs' ends included."""
    for sets in groups:
        Trainer(setup.lm, setup.shape.layer, Sparse(setup.sae), store, config).train(sets, lambda _row: None)


def over_examples(setup: shapes.Setup, store: ActivationStore, counts: list[int], repeats: int) -> Sweep:
    """One epoch on more and more pairs."""
    runs: dict[str, Callable[[int], None]] = {}
    for n in counts:
        part = TrainSet("all", list(range(n)), [0])
        runs[str(n)] = partial(_train, setup, store, [[part]], CONFIG)
    return {OURS: Curve.of(measure.take_turns(runs, repeats, setup.lm.device))}


def over_epochs(setup: shapes.Setup, store: ActivationStore, counts: list[int], pairs: int, repeats: int) -> Sweep:
    """More and more epochs on the same pairs."""
    runs: dict[str, Callable[[int], None]] = {}
    for n in counts:
        config = replace(CONFIG, epochs=n)
        runs[str(n)] = partial(_train, setup, store, [[TrainSet("all", list(range(pairs)), [0])]], config)
    return {OURS: Curve.of(measure.take_turns(runs, repeats, setup.lm.device))}


def over_vectors(setup: shapes.Setup, store: ActivationStore, counts: list[int], pairs: int, repeats: int) -> Sweep:
    """One epoch of several vectors, in shared passes and one by one."""
    shared: dict[str, Callable[[int], None]] = {}
    for n in counts:
        sets = [TrainSet(f"seed {i}", list(range(pairs)), [0], seed=i) for i in range(n)]
        shared[f"shared {n}"] = partial(_train, setup, store, [sets], CONFIG)
        shared[f"alone {n}"] = partial(_train, setup, store, [[part] for part in sets], CONFIG)
    times = measure.take_turns(shared, repeats, setup.lm.device)
    return {
        name: Curve.of({key.split()[1]: values for key, values in times.items() if key.startswith(prefix)})
        for name, prefix in ((OURS, "shared"), ("ours, one by one", "alone"))
    }


def over_shapes(variants: dict[int, shapes.Shape], options: measure.Options, repeats: int) -> Sweep:
    """One step, by both ways, of models that differ in one number (the keys)."""
    runs: dict[str, Callable[[int], object]] = {}
    device = options.device
    for size, shape in variants.items():
        setup = shapes.make(shape, device, CONFIG.batch_size, options.seed)
        store = build_store(setup.lm, shape.layer, setup.sae, setup.pairs, CONFIG.batch_size)
        trainer = Trainer(setup.lm, shape.layer, Sparse(setup.sae), store, CONFIG)
        ours = OurStep(trainer, TrainSet("all", list(range(CONFIG.batch_size)), []))
        published = PublishedStep(setup.plain, setup.lm.tokenizer.pad, shape.layer, setup.sae, CONFIG)
        runs[f"ours {size}"] = partial(_our_step, ours)
        runs[f"published {size}"] = partial(_published_step, published, setup)
    times = measure.take_turns(runs, repeats, device)
    return {
        name: Curve.of({key.split()[1]: values for key, values in times.items() if key.startswith(name)})
        for name in (OURS, PUBLISHED)
    }


def _our_step(step: OurStep, _turn: int) -> None:
    step(0)


def _published_step(step: PublishedStep, setup: shapes.Setup, _turn: int) -> None:
    step(setup.pairs, 1)


def record(report: measure.Report, name: str, sweep: Sweep) -> None:
    """Rows of a sweep, and its fits."""
    for way, curve in sweep.items():
        for size, seconds, quartiles in zip(curve.sizes, curve.seconds, curve.quartiles, strict=True):
            report.add(
                f"seconds over {name}",
                {"by": way, name: int(size), "seconds": seconds, "quartiles": measure.quartiles([*quartiles])},
            )
        fixed, unit = measure.slope(curve.sizes, curve.seconds)
        growth = measure.exponent(curve.sizes, curve.seconds)
        report.add(
            "fits", {"over": name, "by": way, "exponent": growth, "fixed, ms": 1e3 * fixed, "for each one more, ms": 1e3 * unit}
        )


def draw(sweeps: dict[str, Sweep], titles: dict[str, str], path: Path) -> None:
    """One panel for each sweep, doubly logarithmic."""
    figure, axes = plt.subplots(1, len(sweeps), figsize=(3.1 * len(sweeps), 3.1), layout="constrained")
    colours = {OURS: "#0b6e8a", PUBLISHED: "#b4532a", "ours, one by one": "#7a7a7a"}
    for axis, (name, sweep) in zip(axes, sweeps.items(), strict=True):
        for way, curve in sweep.items():
            spread = np.abs(np.array(curve.quartiles).T - np.array(curve.seconds))
            axis.errorbar(curve.sizes, curve.seconds, spread, marker="o", markersize=4, color=colours[way], label=way)
        axis.set(xscale="log", yscale="log", xlabel=name, title=titles[name], ylabel="seconds")
        sizes = next(iter(sweep.values())).sizes
        axis.set_xticks(sizes, [f"{int(size):,}" for size in sizes], rotation=45)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        if len(sweep) > 1:
            axis.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "scaling"  # same numbers, same file
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Run all sweeps."""
    options = measure.options("how the cost of training grows", [], [])
    quick = options.quick
    report = measure.Report("scaling", {"batch": CONFIG.batch_size, "seed": options.seed, "method": "YaPO"})
    repeats = 1 if quick else 3
    tiny = shapes.make(shapes.SHAPES["tiny"], options.device, 32 if quick else 256, options.seed)
    store = build_store(tiny.lm, tiny.shape.layer, tiny.sae, tiny.pairs, 64)
    small = replace(shapes.SHAPES["small"], answer=(16, 16))  # lengths without chance: median and maximum agree
    lengths = [32, 64] if quick else [64, 128, 256, 512]
    widths = [2048, 4096] if quick else [4096, 8192, 16384, 32768]
    sweeps = {
        "pairs": over_examples(tiny, store, [8, 16, 32] if quick else [32, 64, 128, 256], repeats),
        "epochs": over_epochs(tiny, store, [1, 2] if quick else [1, 2, 4, 8], 8 if quick else 32, repeats),
        "prompt tokens": over_shapes({n: replace(small, prompt=(4 * n, n)) for n in lengths}, options, repeats),
        "features of the SAE": over_shapes({n: replace(small, prompt=(256, 64), d_sae=n) for n in widths}, options, repeats),
        "vectors": over_vectors(tiny, store, [1, 2, 4] if quick else [1, 2, 4, 8, 16], 8 if quick else 32, repeats),
    }
    for name, sweep in sweeps.items():
        record(report, name, sweep)
    titles = {
        "pairs": "one epoch",
        "epochs": "all pairs",
        "prompt tokens": "one step",
        "features of the SAE": "one step",
        "vectors": "one epoch of each",
    }
    if not quick:
        draw(sweeps, titles, FIGURE)
    elif options.out is not None:
        draw(sweeps, titles, options.out / FIGURE.name)
    report.finish(options)


if __name__ == "__main__":
    main()
