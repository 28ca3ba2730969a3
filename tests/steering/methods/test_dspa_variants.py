"""DSPA's variants: each is what DSPA makes of its own options and pairs, however they are fitted together."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.method import Models, read_options
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.methods.dspa.variants import LAYERS, OWN, PAIRS, MapVariant, fit_variants, own_values, variants

from .inputs import SETS
from .test_dspa import OPTIONS, fit_inputs, maps, other

OWN_OPTIONS = read_options(DspaOptions, OPTIONS)
CHANGES: dict[str, list[Any]] = {
    "alpha": [0.1, 0.4],
    "mode": ["ablate", "both"],
    "k_prompt": [2],
    "k_diff": [1],
    "normalise": ["gate"],
    "demix": [True],
    "gate_fires": [False],
    "count_template": [True],
    "count_end": [True],
    "edits": ["all"],
    "signed": [False],
    "turns": ["last"],
}
PART = SETS[2]


def listed() -> list[MapVariant]:
    return variants(OWN_OPTIONS, CHANGES, [0, 2], [3, 2, 4, 9], 2, len(PART.train))


def test_one_change_at_a_time_and_none_twice() -> None:
    made = listed()
    assert made[0] == MapVariant(OWN, "", OWN_OPTIONS)
    assert [(v.change, v.value, v.draw) for v in made[1:]] == [
        *((PAIRS, n, draw) for n in ("2", "3") for draw in (0, 1)),
        ("alpha", "0.1", 0),
        ("mode", "ablate", 0),
        ("k_prompt", "2", 0),
        ("k_diff", "1", 0),
        ("normalise", "gate", 0),
        ("demix", "true", 0),
        ("gate_fires", "false", 0),
        ("count_template", "true", 0),
        ("count_end", "true", 0),
        ("edits", "all", 0),
        ("signed", "false", 0),
        ("turns", "last", 0),
        (LAYERS, "0 to 0", 0),
        (LAYERS, "2 to 2", 0),
    ]
    for variant in made:
        differs = {name for name, value in asdict(variant.options).items() if value != OPTIONS[name]}
        allowed = {LAYERS: {"layer_in", "layer_out"}, PAIRS: set(), OWN: set()}.get(variant.change, {variant.change})
        assert differs <= allowed and (differs or not allowed)
    own = own_values(OWN_OPTIONS, 4)
    assert all(own[v.change] != v.value for v in made[1:] if v.change != PAIRS)
    assert (own[PAIRS], own[LAYERS], own["alpha"], own["demix"], own["percentile"]) == ("4", "0 to 2", "0.4", "false", "75")


def test_impossible_values_are_refused() -> None:
    with pytest.raises(YapoError, match=r"method.options.mode=forget"):
        variants(OWN_OPTIONS, {"mode": ["forget"]}, [], [], 1, 4)
    with pytest.raises(YapoError, match=r"method.options.pairs=2: .*the study draws subsets itself"):
        variants(replace(OWN_OPTIONS, pairs=2), {}, [], [], 1, 4)


def test_each_is_what_dspa_makes_of_its_options_and_pairs(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    loaded: list[int] = []
    saes = {(layer, width): made for layer in (0, 2) for width, made in ((64, sae), (40, other(sae)))}

    def autoencoder(layer: int) -> SAE:
        loaded.append(layer)
        return saes[layer, 64 if layer == 0 else 40]

    inputs = replace(inputs, models=Models(lambda _first: gemma, autoencoder, -1e9))
    fitted = fit_variants(inputs, PART, listed(), seed=0)
    assert [f.variant for f in fitted] == listed()
    counted = len(loaded) // 2
    assert counted == 9  # the setting with all subsets; k_diff, normalise, demix; what counts (3); two pairs of layers
    for f in fitted:
        options, part = f.variant.options, PART
        if f.variant.change == PAIRS:
            assert f.map.info.pairs == int(f.variant.value)
            continue
        kept = maps(replace(inputs, options=asdict(options), sets=[part]))
        assert f.map.digest == kept[part.name].digest


def test_subsets_are_drawn_by_the_seed_and_lie_within_each_other(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = fit_inputs(gemma, sae, tmp_path)
    wanted = [MapVariant(PAIRS, str(n), OWN_OPTIONS, draw) for draw in range(6) for n in (1, 2, 3)]
    fitted = [f.map.digest for f in fit_variants(inputs, PART, wanted, seed=0)]
    by_pairs: dict[str, frozenset[int]] = {}
    subsets = [[0], [1], [2], [3], [0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3], [0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]
    for train in subsets:
        kept = maps(replace(inputs, sets=[replace(PART, name="own", train=train)]))
        by_pairs.setdefault(kept["own"].digest, frozenset(train))
    drawn = [by_pairs[digest] for digest in fitted]
    for one, two, three in zip(drawn[::3], drawn[1::3], drawn[2::3], strict=True):
        assert one < two < three
    assert len(set(drawn)) > 3
    assert fitted == [f.map.digest for f in fit_variants(inputs, PART, wanted, seed=0)]
    assert fitted != [f.map.digest for f in fit_variants(inputs, PART, wanted, seed=1)]
