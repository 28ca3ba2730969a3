"""The measured part of docs/paper-runs.md: what calls cost here, and what the embedded study took.

OMP_NUM_THREADS=1 python -m benchmarks.paper_measure results/embedded

The folder is a finished embedded study. On the tiny model arithmetic is next to nothing, so what a block costs at one token
is the price of calling its operations at all; what more tokens add is arithmetic.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from benchmarks import measure, shapes
from benchmarks.paper_costs import attention, upper
from benchmarks.paper_runs import TINY
from benchmarks.paper_study import Lengths
from benchmarks.training_step import CONFIG
from benchmarks.where_time_goes import jobs
from yapo.evaluation.decoding import Condition, Decoder
from yapo.files import read_json
from yapo.models.language_model import LanguageModel
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

START = (  # imports of a job before it works
    "from yapo.config import ModelConfig; from yapo.stages import evaluate; "
    "from yapo.models.language_model import load_language_model; load_language_model(ModelConfig())"
)
REPEATS = 25


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of a call, the least of some: what it costs where nothing else is in the way."""
    run()
    found = []
    for _ in range(REPEATS):
        begin = time.process_time()
        run()
        found.append(time.process_time() - begin)
    return min(found)


def start_seconds() -> float:
    """CPU seconds until a job has its model."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", START], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def completing(lm: LanguageModel, layer: int, rows: int, prompt: int, written: int) -> float:
    """Seconds of ``rows`` completions of so many tokens each."""
    lm.tokenizer.end_of_turn, lm.tokenizer.eos = -1, frozenset()
    prompts = [[2] + [10 + row % 100] * (prompt - 1) for row in range(rows)]
    return seconds(partial(Decoder(lm, rows).complete, layer, prompts, [Condition()], written))


def writing(lm: LanguageModel, layer: int, rows: int) -> float:
    """Seconds of one step of ``rows`` completions."""
    return (completing(lm, layer, rows, 4, 18) - completing(lm, layer, rows, 4, 2)) / 16


def training(setup: shapes.Setup, store: ActivationStore, number: int) -> float:
    """Seconds of one pass, forward and backward, of the first ``number`` pairs."""
    config = type(CONFIG)(batch_size=number, rows_per_pass=64)
    trainer = Trainer(setup.lm, setup.shape.layer, Dense(setup.lm.d_model), store, config)
    state = trainer._start(TrainSet("all", list(range(number)), []))
    return seconds(lambda: trainer._step([state], 0))


def parts() -> Iterator[tuple[str, float]]:
    """Prices of calls in seconds, rates in operations a second."""
    setup = shapes.make(shapes.SHAPES["tiny"], torch.device("cpu"), 64, 0)
    lm, layer, model = setup.lm, setup.shape.layer, TINY
    yield "start", min(start_seconds() for _ in range(3))
    one, many = writing(lm, layer, 1), writing(lm, layer, 256)
    yield "block", one / lm.n_layers
    yield "write", 255 * 2 * (model.layers * model.block + model.head) / (many - one)
    few, more = (completing(lm, layer, 64, prompt, 1) for prompt in (4, 68))
    blocks = model.layers * model.block * 64 + attention(model, 68) / 2
    yield "read", 64 * 2 * blocks / (more - few)
    store = build_store(lm, layer, setup.sae, setup.pairs, 64)
    mean = lengths([(len(p.prompt), len(p.chosen), len(p.rejected)) for p in setup.pairs], 1, 1)
    short, long = training(setup, store, 1), training(setup, store, 32)
    yield "trained block", short / (lm.n_layers - layer - 1)
    yield "train", 31 * upper(model, layer, mean, backward=True).flops / (long - short)


def lengths(pairs: list[tuple[int, int, int]], written: float, longest: float) -> Lengths:
    """Means over pairs."""
    prompt, chosen, rejected = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return Lengths(prompt, chosen, rejected, written, longest)


def lengths_of(study: Path) -> dict[str, Lengths]:
    """Mean lengths of the embedded study's pairs and of the unsteered model's answers, over its countries."""
    found: dict[str, Lengths] = {}
    lm = shapes.make(shapes.SHAPES["tiny"], torch.device("cpu"), 1, 0).lm
    answers = [text for path in study.glob("*/*/pairs/answers.json") for texts in read_json(path).values() for text in texts]
    written = {"mcq": [], "open_ended": []}  # type: ignore[var-annotated]
    for text in answers:
        written["mcq" if "\\boxed" in text else "open_ended"].append(len(lm.tokenizer.response(text)))
    for task, counts in written.items():
        stores = sorted(study.glob(f"*/*/prepared/{task}.safetensors"))
        pairs = [pair for path in stores for pair in ActivationStore.load(path)[0].pairs]
        batches = [max(counts[start : start + 256]) for start in range(0, len(counts), 256)]
        sizes = [(len(p.prompt), len(p.chosen), len(p.rejected)) for p in pairs]
        found[task] = lengths(sizes, sum(counts) / len(counts), sum(batches) / len(batches))
    return found


def main() -> None:
    """Measure, and write results/paper_runs.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("study", type=Path, help="a finished embedded study, run with YAPO_WARM= (a job's start is a price)")
    study = parser.parse_args().study
    report = measure.Report("paper_runs", {"threads": torch.get_num_threads()})
    for name, value in parts():
        report.add("prices", {"name": name, "value": value})
    for task, found in lengths_of(study).items():
        sizes: dict[str, measure.Cell] = asdict(found)
        report.add("lengths of the embedded study", {"task": task, **sizes})
    taken: pd.DataFrame = jobs(study)
    for stage, rows in taken.groupby("stage", sort=False):
        job: dict[str, measure.Cell] = {"stage": str(stage), "jobs": len(rows), "CPU seconds": float(rows["cpu"].mean())}
        report.add("embedded study", {**job, "peak MB": float(rows["peak_mb"].max())})
    report.finish(measure.Options(False, None, [], 0, torch.device("cpu")))


if __name__ == "__main__":
    main()
