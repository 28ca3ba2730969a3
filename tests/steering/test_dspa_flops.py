"""Operations of a fit against torch's own counter, and the paper's accounting by hand."""

from __future__ import annotations

import pytest
from torch.utils.flop_counter import FlopCounterMode

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.dspa_flops import Tokens, fit_work
from yapo.steering.methods.dspa import Options, count
from yapo.steering.tree import Pair

from .methods.inputs import PAIRS
from .methods.test_dspa import OPTIONS, other


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("layer_out", [0, 2])
def test_every_operation_of_the_real_fit_is_accounted_for(lm: LanguageModel, sae: SAE, layer_out: int, batch_size: int) -> None:
    options = Options.of({**OPTIONS, "layer_in": 0, "layer_out": layer_out})
    with FlopCounterMode(display=False) as counter:
        count(lm, PAIRS, options, sae, other(sae), batch_size, -1e9)
    assert fit_work(lm, PAIRS, layer_out, sae, other(sae), batch_size).total == counter.get_total_flops() > 0


def test_padding_is_what_equal_pairs_do_not_need(gemma: LanguageModel, sae: SAE) -> None:
    equal = [PAIRS[0]] * 3
    assert fit_work(gemma, equal, 1, sae, sae, 3).padding == 0
    mixed = fit_work(gemma, PAIRS, 1, sae, sae, 100)
    alone = fit_work(gemma, PAIRS, 1, sae, sae, 1)
    assert mixed.linear - mixed.padding == alone.linear > 0
    assert mixed.padding > 0 == alone.padding
    assert mixed.encoders == alone.encoders


def test_the_papers_numbers() -> None:
    """N = 1, 1000 tokens each, 8 billion parameters: 8e13; with the redundant pass dropped 6.4e13, with one pass 4.8e13."""
    tokens = Tokens(1, 1000, 1000, 1000)
    assert [tokens.accounted(8 * 10**9, passes) for passes in (3, 2, 1)] == [80 * 10**12, 64 * 10**12, 48 * 10**12]
    assert Tokens.of([Pair([1, 2, 3], [4, 5], [6]), Pair([1], [2], [3])]) == Tokens(2, 4, 3, 2)


def test_dropping_the_redundant_pass_drops_no_more(gemma: LanguageModel, sae: SAE) -> None:
    """By the accounting's own measure, tokens times weights, our one pass is p + c + r less the two ends of answers."""
    tokens = Tokens.of(PAIRS)
    work = fit_work(gemma, PAIRS, gemma.n_layers - 1, sae, sae, 1)
    weights = sum(p.numel() for p in gemma.model.model.layers.parameters() if p.ndim == 2)
    assert work.linear == tokens.accounted(weights, 1) - 2 * weights * 2 * tokens.pairs
