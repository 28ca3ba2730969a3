"""Operations of a fit against torch's own counter, and the paper's accounting by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.method import read_options
from yapo.steering.methods.dspa.flops import Tokens, displacement_cost, fit_cost
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.pair_batch import TokenPair

from .inputs import PAIRS, SETS, TRAIN
from .test_dspa import OPTIONS, fit_inputs, maps, other

OWN = read_options(DspaOptions, OPTIONS)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("change", [{}, {"count_template": True, "count_end": True}, {"demix": True, "k_prompt": 3}], ids=str)
def test_every_operation_of_the_real_fit_is_accounted_for(
    lm: LanguageModel, sae: SAE, tmp_path: Path, change: dict[str, Any], batch_size: int
) -> None:
    """A fit is the map, and the measure of how far it moves validation answers."""
    options, (*_, part) = read_options(DspaOptions, {**OPTIONS, **change}), SETS
    inputs, _ = fit_inputs(lm, sae, tmp_path, **change)
    inputs = replace(inputs, sets=[part], train=replace(TRAIN, rows_per_pass=batch_size))
    with FlopCounterMode(display=False) as counter:
        kept = maps(inputs)
    pairs, validation = ([PAIRS[i] for i in places] for places in (part.train, part.validation))
    fitted = fit_cost(lm, pairs, options, sae, other(sae), batch_size).total
    moved = displacement_cost(lm, validation, kept[part.name].info, batch_size)
    assert fitted + moved == counter.get_total_flops()
    assert min(fitted, moved) > 0


def test_padding_is_what_equal_pairs_do_not_need(gemma: LanguageModel, sae: SAE) -> None:
    equal = [PAIRS[0]] * 3
    assert fit_cost(gemma, equal, OWN, sae, sae, 3).padding == 0
    mixed = fit_cost(gemma, PAIRS, OWN, sae, sae, 100)
    alone = fit_cost(gemma, PAIRS, OWN, sae, sae, 1)
    assert mixed.linear - mixed.padding == alone.linear > 0
    assert mixed.padding > 0 == alone.padding
    assert mixed.encoders == alone.encoders


def test_the_papers_numbers() -> None:
    """N = 1, 1000 tokens each, 8 billion parameters: 8e13; with the redundant pass dropped 6.4e13, with one pass 4.8e13."""
    tokens = Tokens(1, 1000, 1000, 1000)
    assert [tokens.accounted(8 * 10**9, passes) for passes in (3, 2, 1)] == [80 * 10**12, 64 * 10**12, 48 * 10**12]
    assert Tokens.of([TokenPair([1, 2, 3], [4, 5], [6]), TokenPair([1], [2], [3])]) == Tokens(2, 4, 3, 2)


def test_dropping_the_redundant_pass_drops_no_more(gemma: LanguageModel, sae: SAE) -> None:
    """By the accounting's own measure, tokens times weights, our one pass is p + c + r less the two ends of answers."""
    tokens = Tokens.of(PAIRS)
    work = fit_cost(gemma, PAIRS, replace(OWN, layer_out=gemma.n_layers - 1), sae, sae, 1)
    weights = sum(p.numel() for p in gemma.model.model.layers.parameters() if p.ndim == 2)
    assert work.linear == tokens.accounted(weights, 1) - 2 * weights * 2 * tokens.pairs
