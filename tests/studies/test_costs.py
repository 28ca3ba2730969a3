"""Costs: counts against what shapes give, the tables from hand-made numbers, and the study of one country and method."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.stages.small_study import LAYER
from tests.studies.one_country import reported, same_again
from yapo.config import Config
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.files import write_json
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages.inputs import read_sae
from yapo.stages.pairs import fit_inputs, models_of, read_prepared
from yapo.stages.spent import Spent, peak_memory_mb
from yapo.stages.vectors import ChosenVector
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.pair_batch import batch_pairs
from yapo.steering.training.train_sets import train_sets
from yapo.studies.costs import MEASURED, report, run
from yapo.studies.costs.counts import SAMPLE, FitCount, count_edit, count_fit, count_preparation, count_token

COUNTRY = ["studies.costs.countries=[egypt]", "methods=[yapo]", "method=yapo", "settings=[nonlocalized]"]


def block_weights(lm: LanguageModel, blocks: int) -> int:
    """Numbers in the matrices of the first blocks."""
    layers = list(lm.model.model.layers)[:blocks]
    return sum(parameter.numel() for block in layers for parameter in block.parameters() if parameter.ndim == 2)


def attention(lm: LanguageModel, blocks: int, rows: int, tokens: int) -> int:
    """Operations of q·kᵀ and p·v."""
    head = lm.model.model.layers[0].self_attn.head_dim
    return int(4 * lm.model.config.num_attention_heads * head * blocks * rows * tokens**2)


def test_a_tokens_pass_is_that_of_all_matrices(lm: LanguageModel) -> None:
    matrices = block_weights(lm, lm.n_layers) + lm.model.lm_head.weight.numel()
    assert count_token(lm) == 2 * matrices + attention(lm, lm.n_layers, 1, 1)


def test_an_edit_encodes_and_decodes_what_it_touches(gemma: LanguageModel, sae: SAE) -> None:
    dense = ChosenVector(torch.ones(gemma.d_model), Dense(gemma.d_model), False, 1.0, 1)
    assert count_edit(dense, gemma) == 0
    few = torch.zeros(sae.d_sae)
    few[:5] = 1.0
    width = Sparse(sae).token_edit(few[None], 1, torch.float32).tables[0].shape[1]
    assert width >= 5
    assert count_edit(ChosenVector(few, Sparse(sae), False, 1.0, 1), gemma) == 2 * 2 * gemma.d_model * width


@pytest.fixture(scope="module")
def config(training_overrides: list[str]) -> Config:
    return compose([*(part for part in training_overrides if not part.startswith("methods=")), *COUNTRY])


def inputs_of(config: Config, lm: LanguageModel, name: str, folder: Path) -> FitInputs:
    prepared = read_prepared(Paths.of(config), "arabic", "egypt", "open_ended")
    own = compose([f"method={name}"]).method
    sets, sae = train_sets(prepared.rows, ["nonlocalized"]), read_sae(config, LAYER, lm.d_model)
    given = (prepared, sets, LAYER, sae, models_of(config, lm), own, config.train, config.prompts)
    return fit_inputs(*given, lambda _: None, folder / "checkpoint.safetensors", {})


def test_a_training_is_scaled_from_a_sample(config: Config, tmp_path: Path) -> None:
    lm, method = load_language_model(config.model), get_method("yapo")
    inputs = inputs_of(config, lm, "yapo", tmp_path)
    (part,), one = inputs.sets, replace(inputs, train=replace(inputs.train, epochs=1))
    assert len(part.train) < SAMPLE
    with FlopCounterMode(display=False) as counter:
        method.fit(replace(one, sets=[replace(part, validation=part.validation[:1])]))
    assert count_fit(method, one).flops == counter.get_total_flops() > 0
    four = count_fit(method, replace(inputs, train=replace(inputs.train, epochs=4)))
    assert (four.passes, four.flops) == (4, 4 * counter.get_total_flops())
    many = replace(part, train=part.train * (1 + SAMPLE // len(part.train)))
    whole, sample = (count_fit(method, replace(one, sets=[s])).flops for s in (many, replace(many, train=many.train[:SAMPLE])))
    assert whole == sample * len(many.train) // SAMPLE


def test_a_mean_difference_costs_the_pass_up_to_the_steered_block(config: Config, tmp_path: Path) -> None:
    lm, caa = load_language_model(config.model), get_method("caa")
    inputs = inputs_of(config, lm, "caa", tmp_path)
    (part,), store = inputs.sets, inputs.store
    assert count_fit(caa, inputs) == FitCount(0, 0)
    rows, tokens = batch_pairs([store.pairs[i] for i in part.train]).real.shape
    expected = 2 * block_weights(lm, LAYER + 1) * rows * tokens + attention(lm, LAYER + 1, rows, tokens)
    assert count_preparation(caa, lm, LAYER, store, part) == expected
    assert count_preparation(get_method("yapo"), lm, LAYER, store, part) > expected
    assert count_preparation(get_method("dspa"), lm, LAYER, store, part) == 0


def test_the_study_of_a_country(config: Config) -> None:
    paths = Paths.of(config)
    run.main(config)
    path = paths.study_rows("costs_yapo", "arabic", "egypt")
    rows = pd.read_parquet(path)
    assert rows[["task", "method"]].to_numpy().tolist() == [["open_ended", "yapo"]]
    assert rows["file_bytes"].item() == paths.vector("arabic", "egypt", "yapo", "open_ended", "nonlocalized").stat().st_size
    same_again(run.main, config, path)
    took = {"seconds": 2.0, "cpu_seconds": 3.0, "peak_memory_mb": 400.0, "peak_gpu_memory_mb": None}
    write_json(paths.spent("arabic", "egypt", "yapo"), took)
    assert "YaPO" in reported(report.main, config, "costs").reading
    csv, text = (paths.root / name for name in MEASURED)
    assert pd.read_csv(csv)["cpu_seconds"].tolist() == [3.0]
    table = paths.root / "tables" / "costs.md"
    first = table.read_bytes()
    write_json(paths.spent("arabic", "egypt", "yapo"), {**took, "seconds": 9.0})
    report.main(config)
    assert table.read_bytes() == first
    assert "differ from run to run" in text.read_text(encoding="utf-8")
    write_json(paths.spent("arabic", "egypt", "yapo"), {"seconds": 2.0})
    with pytest.raises(YapoError, match=r"arabic-egypt-yapo.json: does not say what a training took"):
        report.main(config)


def test_measured_seconds_are_summed_and_memory_is_the_highest() -> None:
    spent = pd.DataFrame(
        {
            "country": ["egypt", "nepal"],
            "method": "caa",
            "seconds": [1.0, 2.0],
            "cpu_seconds": [3.0, 4.0],
            "peak_memory_mb": [5.0, 4.0],
            "peak_gpu_memory_mb": [math.nan, math.nan],
        }
    )
    table = report.measured_table(spent, TableOptions())
    assert "| CAA | 3.0 | 7.0 | 5.0 | – |" in table.texts["md"]


def test_a_stopwatch_adds_up() -> None:
    spent = Spent()
    for _ in range(2):
        with spent:
            sum(range(20_000))
    first = spent.cpu_seconds
    sum(range(20_000))  # not timed
    assert spent.cpu_seconds == first > 0
    assert peak_memory_mb() > 10
    assert set(spent.record()) == set(report.SPENT)
