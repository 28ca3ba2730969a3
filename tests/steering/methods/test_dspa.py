"""DSPA's fit against a loop written from the equations, with the paper's three passes for each pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.method import FitInputs, Models
from yapo.steering.methods import get_method
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet

from .inputs import PAIRS, SETS, TRAIN, fit, make_inputs
from .test_dspa_map import block_output, dense_map, plain_edit, plain_gates, plain_map, plain_sets, plain_sparsified

OPTIONS: dict[str, Any] = {
    "layer_in": 0, "layer_out": 2, "alpha": 0.4, "mode": "both", "k_prompt": 6, "k_diff": 3, "percentile": 75.0,
    "normalise": "pairs", "sparsify": "threshold", "demix": False, "pairs": None, "seed": 0, "gate_fires": True,
    "count_template": False, "count_end": False, "edits": "answer", "signed": True, "turns": "all",
}  # fmt: skip


def other(sae: SAE) -> SAE:
    """Another autoencoder, for the output layer, with fewer features."""
    return sae.columns(torch.arange(63, 23, -1))


def fit_inputs(
    lm: LanguageModel, sae: SAE, folder: Path, explained: float = -1e9, **options: Any
) -> tuple[FitInputs, list[LogRow]]:
    saes = {OPTIONS["layer_in"]: sae, OPTIONS["layer_out"]: other(sae)}
    models = Models(lambda _first: lm, saes.__getitem__, explained)
    return make_inputs(lm, sae, folder, "dspa", options={**OPTIONS, **options}, models=models)


def maps(inputs: FitInputs) -> dict[str, ConditionalMap]:
    """The map of each set that DSPA is fitted to."""
    found = {}
    for name, vector in get_method("dspa").fit(inputs).items():
        assert isinstance(vector.payload, ConditionalMap)
        found[name] = vector.payload
    return found


def states(lm: LanguageModel, ids: list[int], layer: int) -> Tensor:
    """After a block, by one pass of the library over one row."""
    return block_output(lm, torch.tensor([ids]), layer)[0]


def density(sae: SAE, hidden: Tensor) -> list[float]:
    return [float((column > 0).sum()) / max(len(hidden), 1) for column in sae.encode(hidden).T]


def plain_counts(
    lm: LanguageModel, sae_in: SAE, sae_out: SAE, pair: TokenPair, template: bool = False, end: bool = False
) -> tuple[list[float], list[float]]:
    """Densities of the prompt's own text, or all of it, and the difference of those of the answers, with their end or without."""
    content = lm.tokenizer.template.content(torch.tensor([pair.prompt]))[0] | template
    rho = density(sae_in, states(lm, pair.prompt, OPTIONS["layer_in"])[content])
    sides = [
        density(sae_out, states(lm, pair.prompt + answer, OPTIONS["layer_out"])[len(pair.prompt) :][: len(answer) - (not end)])
        for answer in (pair.chosen, pair.rejected)
    ]
    return rho, [chosen - rejected for chosen, rejected in zip(*sides, strict=True)]


@pytest.mark.parametrize(("normalise", "sparsify"), [("pairs", "threshold"), ("gate", "rows")])
def test_maps_equal_the_definition(lm: LanguageModel, sae: SAE, tmp_path: Path, normalise: str, sparsify: str) -> None:
    inputs, _ = fit_inputs(lm, sae, tmp_path, normalise=normalise, sparsify=sparsify)
    vectors, kept = fit(inputs), maps(inputs)
    assert {name: vector.tolist() for name, vector in vectors.items()} == {part.name: [[pytest.approx(0.4)]] for part in SETS}
    for part in SETS:
        counted = [plain_counts(lm, sae, other(sae), PAIRS[i]) for i in part.train]
        opens = plain_gates([rho for rho, _ in counted], 75)
        whole = plain_map(opens, [difference for _, difference in counted], normalise)
        expected = torch.tensor(plain_sparsified(torch.tensor(whole).tolist(), sparsify, OPTIONS["k_diff"]))
        assert expected.any()
        torch.testing.assert_close(dense_map(kept[part.name]).float(), expected)
        info = kept[part.name].info
        assert (info.pairs, info.width_in, info.width_out, info.layer_in, info.layer_out) == (len(part.train), 64, 40, 0, 2)
        assert info.template == lm.tokenizer.template


@pytest.mark.parametrize("reading", ["count_template", "count_end", "gate_fires"])
def test_other_readings_make_other_maps(gemma: LanguageModel, sae: SAE, tmp_path: Path, reading: str) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    kept = maps(inputs)
    usual = dense_map(kept["both"]).float()
    kept = maps(replace(inputs, options={**OPTIONS, reading: not OPTIONS[reading]}))
    made = kept["both"]
    template, end = reading == "count_template", reading == "count_end"
    counted = [plain_counts(gemma, sae, other(sae), PAIRS[i], template, end) for i in SETS[2].train]
    opens = plain_gates([rho for rho, _ in counted], 75, reading != "gate_fires")
    whole = torch.tensor(plain_map(opens, [difference for _, difference in counted], "pairs"))
    expected = torch.tensor(plain_sparsified(whole.tolist(), "threshold", OPTIONS["k_diff"]))
    torch.testing.assert_close(dense_map(made).float(), expected)
    assert not torch.allclose(expected, usual)
    assert getattr(made.info, reading) is not OPTIONS[reading]


def test_how_a_map_is_used_is_in_its_header_and_its_digest(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    kept = maps(inputs)
    digests = {kept["both"].digest}
    for change in ({"edits": "all"}, {"signed": False}, {"turns": "last"}):
        kept = maps(replace(inputs, options={**OPTIONS, **change}))
        assert {name: kept["both"].header()["map"][name] for name in change} == change
        digests.add(kept["both"].digest)
    assert len(digests) == 4


def test_passes_of_few_pairs_give_the_same(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path, demix=True)
    kept = maps(inputs)
    whole = kept
    kept = maps(replace(inputs, train=replace(TRAIN, rows_per_pass=1)))
    assert {name: made.digest for name, made in kept.items()} == {name: made.digest for name, made in whole.items()}
    opened = kept["both"].gates
    assert opened is not None
    counted = [plain_counts(gemma, sae, other(sae), PAIRS[i])[0] for i in SETS[2].train]
    assert torch.tensor(plain_gates(counted, 75)).nonzero().T.tolist() == opened.tolist()


def test_the_curve_says_how_far_answers_move(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """On validation, at the tokens that predict the chosen answer."""
    inputs, log = fit_inputs(gemma, sae, tmp_path)
    kept = maps(inputs)
    for part, row in zip(SETS, log, strict=True):
        moved = []
        for i in part.validation:
            pair, made = PAIRS[i], kept[part.name]
            content = gemma.tokenizer.template.content(torch.tensor([pair.prompt]))[0]
            sets = plain_sets(made, sae, states(gemma, pair.prompt, 0)[content])
            for h in states(gemma, pair.prompt + pair.chosen[:-1], 2)[len(pair.prompt) - 1 :]:
                moved.append(float((plain_edit(other(sae), h, *sets, 0.4) - h).norm()))
        assert row["displacement"] == pytest.approx(sum(moved) / len(moved), rel=1e-4)
        assert (row["setting"], row["kind"], row["l0"]) == (part.name, "epoch", len(made.entries.values))


def test_fewer_pairs_can_be_drawn(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path, pairs=2)
    kept = maps(inputs)
    drawn = {name: made.digest for name, made in kept.items()}
    assert [made.info.pairs for made in kept.values()] == [2, 2, 2]
    several = set()
    for seed in range(4):
        kept = maps(replace(inputs, options={**inputs.options, "seed": seed}))
        several.add(kept["both"].digest)
        assert kept["localized"].digest == drawn["localized"]  # it has no more than two
    assert drawn["both"] in several and len(several) > 1


REFUSED = [
    ({"pairs": 3}, r"method.options.pairs=3: localized has 2 training pairs; ask for no more, or null"),
    ({"pairs": 0}, r"method.options.pairs=0: at least 1"),
    ({"layer_in": 3}, r"method.options.layer_in=3: at most layer_out=2"),
    ({"layer_out": 3}, r"layer=3: tiny gemma2 has blocks 0..3; steer at 0..2"),
    ({"alpha": 0.0}, r"method.options.alpha=0.0: a positive strength"),
    ({"mode": "amplify"}, r"method.options.mode=amplify: choose one of ablate, augment, both"),
    ({"k_prompt": 0}, r"method.options.k_prompt=0: at least 1"),
    ({"k_diff": 0}, r"method.options.k_diff=0: at least 1"),
    ({"percentile": 100.0}, r"method.options.percentile=100.0: between 0 and 100"),
    ({"normalise": "n"}, r"method.options.normalise=n: choose one of pairs, gate"),
    ({"sparsify": "top"}, r"method.options.sparsify=top: choose one of threshold, rows"),
    ({"edits": "prompt"}, r"method.options.edits=prompt: choose one of answer, all"),
    ({"turns": "first"}, r"method.options.turns=first: choose one of all, last"),
    ({"demix": True, "normalise": "gate"}, r"method.options.demix=True: de-mixing is defined for method.options.normalise=pairs"),
    ({"explained": 0.99}, r"random jumprelu: explains -?\d.* of the variance of this model's states"),
    ({"kdiff": 3}, r"method.options.kdiff=3: unknown option; did you mean k_diff"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=lambda part: str(part)[:30])
def test_what_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path, **change)
    with pytest.raises(YapoError, match=message):
        maps(inputs)


def test_empty_gates_and_maps_are_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    silent = replace(sae, threshold=torch.full((64,), 1e9))

    def given(layers: dict[int, SAE]) -> FitInputs:
        return replace(inputs, models=replace(inputs.models, autoencoder=layers.__getitem__))

    with pytest.raises(YapoError, match="localized: no gate opens, since random jumprelu fires on no token"):
        maps(given({0: silent, 2: sae}))
    with pytest.raises(
        YapoError, match="localized: the map is empty, since no feature of random jumprelu tells chosen from rejected"
    ):
        maps(given({0: sae, 2: silent}))
    alike = replace(inputs.store, pairs=[replace(pair, rejected=pair.chosen) for pair in PAIRS])
    with pytest.raises(YapoError, match="the map is empty"):
        maps(replace(inputs, store=alike))


def test_the_settings_are_those_that_the_method_reads() -> None:
    """The paper's, where no experiment says otherwise."""
    options = compose(["experiment=gemma2_2b", "method=dspa"]).method.options
    assert set(options) == set(OPTIONS)
    read = (options["layer_in"], options["layer_out"], options["alpha"], options["k_prompt"], options["k_diff"], options["mode"])
    assert read == (7, 24, 0.2, 32, 16, "ablate")
    readings = ("gate_fires", "count_template", "count_end", "edits", "signed", "turns")
    assert {name: options[name] for name in readings} == {name: OPTIONS[name] for name in readings}
    assert compose(["method=dspa", "dspa.edits=all"]).method.options["edits"] == "all"
    assert compose(["method=dspa", "dspa.layer_in=2", "method.options.k_diff=4"]).method.options["layer_in"] == 2


def test_a_set_of_its_own(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """Pairs that no set trains on are not run; the map of a set does not depend on the others."""
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    kept = maps(inputs)
    both = kept["both"].digest
    alone = replace(inputs, sets=[TrainSet("both", [3, 1, 0, 2], [4])])
    kept = maps(alone)
    assert kept["both"].digest == both
