"""The decoding engine and the training step laid out ahead, against the library, the plain twin and the published step.

python -m benchmarks.engine [--quick]

Meant for a GPU, where it takes four minutes; on a CPU nothing is captured or compiled, and ``--quick`` checks that it runs.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmarks import measure, shapes
from benchmarks.decoding import vectors
from benchmarks.published import PublishedStep
from benchmarks.training_step import CONFIG
from yapo.evaluation.decoding import Condition, Decoder
from yapo.models.language_model import LanguageModel
from yapo.steering.activations import build_store
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.objective import Preference, preference_loss, steer_pairs
from yapo.steering.training.cuda_graphs import GraphedSteps
from yapo.steering.training.schedule import minibatches
from yapo.steering.training.step_batch import StepBatch, VectorPairs, build_step_batch
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

BATCHES = 8
DECODING, TRAINING = "decoding", "training step"


def decoding(setup: shapes.Setup, seed: int, rows_tried: list[int], prompt: int, new: int, report: measure.Report) -> None:
    """Milliseconds of a decoding step: from the difference of a long and a short run, so that prompts do not count."""
    lm, shape = setup.lm, setup.shape
    lm.tokenizer.eos, lm.tokenizer.end_of_turn = frozenset(), -1  # nothing ends early
    generator = torch.Generator().manual_seed(seed)
    dense, sparse = list(vectors(setup, seed).items())[:2]
    conditions = {"unsteered": Condition(), **{name: Condition(edit, u) for name, (_, edit, u) in (dense, sparse)}}
    for rows in rows_tried:
        ids = torch.randint(shapes.FIRST_ID, shape.vocabulary, (rows, prompt), generator=generator)
        prompts, cells = ids.tolist(), dict[str, Callable[[int], object]]()
        for name, condition in conditions.items():
            decoder = Decoder(lm, rows)
            cells[f"engine, {name}"] = _engine(decoder, shape.layer, prompts, condition)
        cells["transformers' generate, unsteered"] = _library(setup, ids)
        for name, run in cells.items():
            seconds = _step_seconds(run, new, lm.device)
            report.add(DECODING, {"rows": rows, "way": name, "ms a step": 1e3 * seconds, "tokens/s": rows / seconds})
        _free(lm.device)


def _engine(decoder: Decoder, layer: int, prompts: list[list[int]], condition: Condition) -> Callable[[int], object]:
    return lambda n: decoder.complete(layer, prompts, [condition], n)


def _library(setup: shapes.Setup, ids: Tensor) -> Callable[[int], object]:
    there = ids.to(setup.lm.device)
    asked = {"attention_mask": torch.ones_like(there), "do_sample": False, "pad_token_id": 0}
    return lambda n: setup.plain.generate(input_ids=there, max_new_tokens=n, min_new_tokens=n, **asked)  # type: ignore[operator]


def _step_seconds(run: Callable[[int], object], new: int, device: torch.device) -> float:
    """Seconds of one of the last ``new`` steps; every length is run once before it is timed."""
    short, taken = max(2, new // 4), dict[int, float]()
    for n in (short, short + new):
        run(n)
        measure.synchronize(device)
        start = time.perf_counter()
        run(n)
        measure.synchronize(device)
        taken[n] = time.perf_counter() - start
    return (taken[short + new] - taken[short]) / new


def training(setup: shapes.Setup, space: str, repeats: int, report: measure.Report) -> None:
    """Milliseconds of a step over ``BATCHES`` minibatches in turn, and how far each gradient is from a float32 model's."""
    lm, shape = setup.lm, setup.shape
    cuda = lm.device.type == "cuda"
    store = build_store(lm, shape.layer, setup.sae, setup.pairs, 4)
    whole = Dense(lm.d_model) if space == "dense" else Sparse(setup.sae)
    trainer = Trainer(lm, shape.layer, whole, store, replace(CONFIG, engine="plain"))
    edit, codes = trainer.intervention, trainer.codes
    vector = 0.1 * torch.randn(1, edit.width, generator=torch.Generator().manual_seed(0)).to(lm.device)
    part = TrainSet("all", list(range(len(setup.pairs))), [])
    work = [VectorPairs(batch.rows, batch.d) for step in range(BATCHES) for batch in minibatches(part, CONFIG, step)]
    state = trainer._start(part)
    with torch.no_grad():
        state.vector.copy_(vector[0])

    def gradient(model: LanguageModel, states: list[Tensor]) -> Tensor:
        leaf = nn.Parameter(vector.clone())
        mine, owner = replace(store, hidden=states), torch.zeros(len(work[0].rows), dtype=torch.long, device=lm.device)
        args = (mine, trainer.codes, work[0].rows, work[0].d * leaf, owner, CONFIG.steer_bos)
        margin = steer_pairs(model, shape.layer, edit, *args).margin
        preference_loss(margin, torch.full_like(margin, float(work[0].d)), CONFIG.beta).mean().backward()
        assert leaf.grad is not None
        return leaf.grad[0]

    exact = LanguageModel(_float32(lm), lm.tokenizer, "float32", "float32")
    reference = edit.expand(gradient(exact, [part.float() for part in store.hidden])).double()
    del exact

    def distance(found: Tensor) -> float:
        return float((found.double() - reference).norm() / reference.norm())

    row = {"method": "BiPO" if space == "dense" else "YaPO"}

    def add(way: str, taken: float, ready: float, far: float) -> None:
        cells = {"way": way, "ms": taken, "ratio": base / taken, "set-up, s": ready, "gradient off by": far}
        report.add(TRAINING, {**row, **cells})

    base, far = _published(setup, space, edit.expand(vector[0]), work, repeats, distance)
    add("published", base, 0.0, far)
    far = distance(edit.expand(gradient(lm, store.hidden)))
    add("plain twin", _milliseconds(lambda i: trainer._step([state], i), repeats, lm.device), 0.0, far)
    longest = max(map(len, store.hidden))
    for way, capture, compiled in _ways(cuda):
        batches = [
            build_step_batch(store, codes, [one], edit.width, CONFIG.steer_bos, True, longest if compiled else 0) for one in work
        ]
        batches = [batch.pinned() for batch in batches] if cuda else batches
        steps = GraphedSteps(lm, shape.layer, edit, Preference(CONFIG.beta), capture, compiled)
        start = time.perf_counter()
        for batch in batches * 2:
            steps(batch, vector)
        measure.synchronize(lm.device)
        ready = time.perf_counter() - start
        far = distance(edit.expand(steps(batches[0], vector)[0][0]))
        taken = _milliseconds(_replay(steps, batches, vector), repeats, lm.device)
        add(way, taken, ready, far)
        del steps
        _free(lm.device)


def _published(
    setup: shapes.Setup, space: str, vector: Tensor, work: list[VectorPairs], repeats: int, distance: Callable[[Tensor], float]
) -> tuple[float, float]:
    """Milliseconds of a published step, and how far its gradient is off."""
    lm, pairs = setup.lm, [[setup.pairs[row] for row in part.rows] for part in work]
    step = PublishedStep(setup.plain, lm.tokenizer.pad, setup.shape.layer, setup.sae if space == "sparse" else None, CONFIG)
    with torch.no_grad():
        step.vector.copy_(vector)
    step.loss(pairs[0], work[0].d).backward()  # type: ignore[no-untyped-call]
    assert step.vector.grad is not None
    far = distance(step.vector.grad)
    return _milliseconds(lambda i: step(pairs[i], work[i].d), repeats, lm.device), far


def _ways(cuda: bool) -> Iterator[tuple[str, bool, bool]]:
    """Name, whether steps are captured, whether blocks are compiled."""
    yield "laid out ahead", False, False
    if cuda:
        yield "laid out ahead, captured", True, False
        yield "laid out ahead, captured, blocks compiled", True, True


def _replay(steps: GraphedSteps, batches: list[StepBatch], vector: Tensor) -> Callable[[int], object]:
    return lambda i: steps(batches[i], vector)


def _milliseconds(run: Callable[[int], object], repeats: int, device: torch.device) -> float:
    """Of one call, the median over rounds through all batches; one round before is not counted."""
    rounds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        for i in range(BATCHES):
            run(i)
        measure.synchronize(device)
        rounds.append(1e3 * (time.perf_counter() - start) / BATCHES)
    return measure.median(rounds[1:])


def _float32(lm: LanguageModel) -> nn.Module:
    return copy.deepcopy(lm.model).float()


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main() -> None:
    """Run every table."""
    options = measure.options(__doc__ or "", ["gemma2-2b"], ["tiny"])
    report = measure.Report("engine", {"batch": CONFIG.batch_size, "batches": BATCHES, "seed": options.seed})
    for name in options.shapes:
        shape = shapes.SHAPES[name]
        reason = shapes.why_not(shape, options.device, 3 * shape.weight_bytes)
        if reason:
            report.skip(reason)
            continue
        setup = shapes.make(shape, options.device, 16 if options.quick else 32, options.seed)
        for space in ("sparse", "dense"):
            training(setup, space, 1 if options.quick else 3, report)
        rows = [4] if options.quick else [256, 64, 1024]
        decoding(setup, options.seed, rows, 8 if options.quick else 128, 4 if options.quick else 64, report)
    report.finish(options)


if __name__ == "__main__":
    main()
