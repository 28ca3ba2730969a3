"""The counts behind docs/paper-runs.md against the code that they speak of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import profile_step, shapes
from benchmarks.measure import RESULTS
from benchmarks.paper_costs import Work, completions, seen, trials, upper
from benchmarks.paper_prices import DEVICES, MODELS, TINY, Device, Job, Prices, embedded, makespan
from benchmarks.paper_runs import PAGE, rendered
from benchmarks.paper_space import kept_per_pass, memory, store_bytes
from benchmarks.paper_study import Lengths
from benchmarks.paper_tables import fitting
from yapo.config import ModelConfig, TrainConfig
from yapo.config.compose import compose
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.evaluation.selection import Trial, choose
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import load_sae
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense
from yapo.steering.pair_batch import TokenPair, batch_pairs
from yapo.steering.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
LAYER = 2
METHODS = ("caa", "sas", "bipo", "yapo")
LENGTHS = {"mcq": Lengths(60, 5, 7, 5, 5), "open_ended": Lengths(20, 9, 8, 9, 15)}


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return load_language_model(ModelConfig(path=str(ROOT / "world" / "model")), device="cpu", first=0)


@pytest.fixture(scope="module")
def pairs() -> list[TokenPair]:
    """Of unequal lengths."""
    sizes = [(30, 5, 9), (22, 8, 4), (41, 3, 6), (17, 6, 6), (12, 4, 3)]
    return [TokenPair([2, *range(20, 19 + p)], list(range(60, 60 + c)), list(range(80, 80 + r))) for p, c, r in sizes]


@pytest.fixture(scope="module")
def store(tiny: LanguageModel, pairs: list[TokenPair]) -> ActivationStore:
    return build_store(tiny, LAYER, load_sae(ROOT / "world" / "sae" / f"layer_{LAYER}"), pairs, 4)


def test_parameters_of_the_tiny_model(tiny: LanguageModel) -> None:
    assert TINY.parameters == sum(p.numel() for p in tiny.model.parameters() if p.ndim == 2)
    assert TINY.block == sum(p.numel() for p in tiny.model.model.layers[0].parameters() if p.ndim == 2)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gemma2_2b", 2_614_341_888),
        ("gemma2_9b", 9_241_705_984),
        ("llama31_8b", 8_030_261_248),
        ("qwen3_8b", 8_190_735_360),
    ],
)
def test_parameters_of_the_large_models(name: str, published: int) -> None:
    """The numbers are those of the models' pages, norms included."""
    assert MODELS[name].parameters == pytest.approx(published, rel=1e-3)


def test_a_store_takes_as_many_bytes_as_counted(tmp_path: Path, pairs: list[TokenPair], store: ActivationStore) -> None:
    path = tmp_path / "store.safetensors"
    store.save(path, {})
    with path.open("rb") as file:
        header = 8 + int.from_bytes(file.read(8), "little")
    tokens, entries = sum(len(pair.tokens) for pair in pairs), sum(len(codes.ids) for codes in store.codes)
    ids = sum(len(pair.prompt) + len(pair.chosen) + len(pair.rejected) for pair in pairs)
    assert path.stat().st_size - header == store_bytes(TINY, len(pairs), tokens, entries, ids)


def test_lengths_of_a_pair(pairs: list[TokenPair]) -> None:
    for pair in pairs:
        counted = Lengths(len(pair.prompt), len(pair.chosen), len(pair.rejected), 1, 1)
        batch = batch_pairs([pair])
        assert counted.pair == len(pair.tokens)
        assert (counted.read, counted.answers) == (batch.read.shape[1], len(batch.target))
        assert seen(counted) == int(batch.allowed.sum())


def test_operations_of_a_step_are_those_of_the_benchmark(pairs: list[TokenPair]) -> None:
    """``profile_step`` counts them from a batch's own masks; the tiny model's windows are longer than these pairs."""
    for pair in pairs:
        lengths = Lengths(len(pair.prompt), len(pair.chosen), len(pair.rejected), 1, 1)
        found = profile_step.work(shapes.SHAPES["tiny"], batch_pairs([pair]))
        assert upper(TINY, LAYER, lengths, backward=True).flops == found.blocks + found.head


def kept_bytes(lm: LanguageModel, store: ActivationStore, rows: int) -> int:
    """Bytes of every tensor that autograd keeps in a training pass, the weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in lm.model.parameters()}
    trainer = Trainer(lm, LAYER, Dense(lm.d_model), store, TrainConfig(batch_size=rows, rows_per_pass=rows))
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    vector = torch.full((1, lm.d_model), 0.1, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        trainer._steered(list(range(rows)), vector, torch.zeros(rows, dtype=torch.long))
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


def test_what_the_backward_pass_keeps(tiny: LanguageModel) -> None:
    pairs = [TokenPair([2, *range(20, 119)], list(range(60, 72)), list(range(80, 90)))] * 4
    store = build_store(tiny, LAYER, load_sae(ROOT / "world" / "sae" / f"layer_{LAYER}"), pairs, 4)
    batch = batch_pairs(pairs)
    rows, tokens = batch.real.shape
    counted = kept_per_pass(TINY, LAYER, rows, tokens, batch.read.shape[1], len(batch.target))
    assert counted == pytest.approx(kept_bytes(tiny, store, 4), rel=0.02)


def test_trials_are_those_that_selection_asks_for() -> None:
    asked: list[Trial] = []

    def measure(points: list[Trial]) -> pd.DataFrame:
        asked.extend(points)
        return pd.DataFrame({"score": [float(point.epoch) for point in points]})

    choose({("yapo", "mcq", "both"): 7, ("caa", "mcq", "both"): 1}, [-1.0, 0.5, 1.0, 2.0], measure)
    assert len(asked) == trials(7, 4) + trials(1, 4)


def test_completions_of_the_embedded_study() -> None:
    """Counted item by item: 24 a topic and country in each form and wording, by split."""
    config = compose(["experiment=embedded", f"methods=[{','.join(METHODS)}]"])
    study = embedded(LENGTHS, METHODS)
    assert study.countries == len(known_countries(config.data))
    epochs = {method: config.train.epochs if method in ("bipo", "yapo") else 1 for method in METHODS}
    total = 0.0
    for variant_items in (study.items / 2, study.items / 2):
        validation, test = 0.2 * variant_items, 0.3 * variant_items
        total += validation + test  # the baseline
        for method in METHODS:
            for _setting in ("this variant", "both"):
                total += validation * (epochs[method] + len(config.selection.multipliers) - 1) + test
        total += 2 * test  # the control, in this variant and in "both"
    assert completions(study) == pytest.approx(total)


def test_fewer_rows_until_it_fits() -> None:
    study = replace(embedded(LENGTHS, METHODS), model=MODELS["gemma2_2b"], train_rows=64, per_pass=64)
    assert fitting(study, 1e15) == study
    smaller = fitting(study, 24e9)
    assert smaller is not None
    assert max(memory(smaller).values()) <= 24e9 < max(memory(study).values())
    assert fitting(study, 1e9) is None


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12), st.integers(1, 6))
def test_a_schedule_is_bounded_by_work_and_by_the_longest_chain(times: list[float], machines: int) -> None:
    """List scheduling takes no more than twice the best (Graham), and one machine takes everything."""
    chain = [Job(str(i), seconds, (str(i - 2),) if i > 1 else ()) for i, seconds in enumerate(times)]
    longest = max(sum(times[0::2]), sum(times[1::2]))
    found = makespan(chain, machines)
    assert max(longest, sum(times) / machines) <= found * (1 + 1e-9)
    assert found <= (sum(times) / machines + longest) * (1 + 1e-9)
    assert makespan(chain, 1) == pytest.approx(sum(times))


def test_the_slowest_of_arithmetic_memory_and_calls_decides() -> None:
    prices = Prices(1e-3, 2e-3, 5.0, 1e9, 2e9, 4e9, slack=2.0, matmul=0.5, stream=0.5)
    device = Device("x", 1e12, 1e11, 1e10, 1e10)
    parts = [Work("read", flops=1e12), Work("write", bytes=1e10), Work("train", trained=500.0), Work("read", flops32=1e11)]
    assert [prices.on_gpu([part], device) for part in parts] == pytest.approx([4.0, 2.0, 1.0, 4.0])
    assert prices.on_gpu(parts, device) == pytest.approx(11.0)
    assert prices.on_cpu(parts) == pytest.approx(1000.0 + 1.0 + 100.0)


def test_a_device_is_read_from_text() -> None:
    assert Device.of("L4=121,30,300,24") == Device("L4", 121e12, 30e12, 300e9, 24e9)
    with pytest.raises(YapoError, match="--device=L4=fast: give NAME="):
        Device.of("L4=fast")


def test_the_page_shows_what_the_script_computes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert rendered(text, RESULTS, DEVICES) == text, "run python -m benchmarks.paper_runs"
    assert "No GPU run stands behind this page" in text
