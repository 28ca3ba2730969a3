"""CuE against a loop written from its equations."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.answer_features import FeatureSums, pooled_answer
from yapo.steering.method import ComparedPairs
from yapo.steering.methods.cue import most_informative, mutual_information

from .inputs import NO_MODELS, PAIRS, ROWS, SETS, fit, make_inputs, with_others

TEXTS = [1, 3]  # training pairs without the country's name


def sums(rows: Tensor) -> FeatureSums:
    rows = rows.double()
    return FeatureSums(len(rows), (rows > 0).sum(dim=0).double(), rows.sum(dim=0), rows.square().sum(dim=0))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), countries=st.integers(2, 4))
def test_information_is_that_of_firing_about_the_country(data: st.DataObject, countries: int) -> None:
    rows = st.lists(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=3, max_size=3), min_size=1, max_size=6)
    texts = [data.draw(rows) for _ in range(countries)]
    labels = [c for c, part in enumerate(texts) for _ in part]
    expected = [mutual_info_score([row[j] > 0 for part in texts for row in part], labels) for j in range(3)]
    found = mutual_information([sums(torch.tensor(part)) for part in texts])
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-9)


def test_fewest_features_that_hold_the_share() -> None:
    information = torch.tensor([0.1, 0.4, 0.0, 0.4, 0.1])
    assert [most_informative(information, rho).tolist() for rho in (0.1, 0.4, 0.41, 0.85, 1.0)] == [
        [1],
        [1],
        [1, 3],
        [1, 3, 0],
        [1, 3, 0, 4],
    ]


def plain_cue(countries: list[list[list[float]]], W_dec: list[list[float]], rho: float) -> list[float]:
    """The equations, one feature at a time; the first country is the one to steer to."""
    total = sum(map(len, countries))
    information = []
    for j in range(len(W_dec)):
        found = 0.0
        for fires in (True, False):
            p_a = sum((text[j] > 0) == fires for texts in countries for text in texts) / total
            for texts in countries:
                joint = sum((text[j] > 0) == fires for text in texts) / total
                found += joint * log(joint / (p_a * len(texts) / total)) if joint else 0.0
        information.append(found)
    order = sorted(range(len(W_dec)), key=lambda j: (-round(information[j], 12), j))
    kept, held = list[int](), 0.0
    while held < rho * sum(information) - 1e-9:
        kept.append(order[len(kept)])
        held += information[kept[-1]]
    means = [[sum(text[j] for text in texts) / len(texts) for j in range(len(W_dec))] for texts in countries]
    apart = {j: means[0][j] - sum(mean[j] for mean in means[1:]) / (len(means) - 1) for j in kept}
    return [sum(apart[j] * W_dec[j][d] for j in kept) for d in range(len(W_dec[0]))]


@pytest.mark.parametrize("rho", [0.1, 0.6])
def test_vector_of_the_equations(lm: LanguageModel, sae: SAE, tmp_path: Path, rho: float) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "cue", options={"rho": rho}, models=NO_MODELS)
    inputs = with_others(inputs, lm, sae)
    stores = [inputs.store, *(other.store for other in inputs.others.values())]
    texts = [[pooled_answer(store, i, "chosen", "max", sae.d_sae).tolist() for i in TEXTS] for store in stores]
    expected = torch.tensor([plain_cue(texts, sae.W_dec.tolist(), rho)])
    vectors = fit(inputs)
    assert list(vectors) == [part.name for part in SETS]
    for vector in vectors.values():
        torch.testing.assert_close(vector, expected, rtol=1e-4, atol=1e-6)
    assert expected.any()


def test_one_country_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "cue")
    with pytest.raises(
        YapoError, match=r"^method=cue: tells a country from the others of the study, and here is none; leave it out$"
    ):
        fit(inputs)


def test_countries_alike_are_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "cue")
    with pytest.raises(YapoError, match=r"^method=cue: no feature tells the countries apart; take another layer or autoencoder$"):
        fit(replace(inputs, others={"twin": ComparedPairs(inputs.store, ROWS)}))


def test_others_of_another_layer_are_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "cue")
    with pytest.raises(YapoError, match=r"layer 0.*but .*layer 1.* asked for"):
        replace(inputs, others={"twin": ComparedPairs(build_store(gemma, 0, sae, PAIRS, batch_size=4), ROWS)})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rho": 0.0}, "rho=0.0: a share"), ({"rho": 1.5}, "rho=1.5: a share"), ({"rho": "x"}, "rho='x': must be a number")],
)
def test_bad_options(gemma: LanguageModel, sae: SAE, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "cue", options=options)
    with pytest.raises(YapoError, match=rf"^method\.options\.{message}"):
        fit(inputs)
