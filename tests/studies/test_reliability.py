"""Reliability: its measures from their equations, and the study of one country on the embedded model."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from tests.stages import small_study
from tests.studies.one_country import reported, same_again, write_answers
from yapo.config.compose import compose
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages import prepare
from yapo.stages.pairs import read_prepared
from yapo.studies.reliability import report, run


def test_agreement_is_the_mean_cosine_with_the_mean() -> None:
    assert run.cosine_agreement(torch.tensor([[2.0, 0.0], [5.0, 0.0]])) == pytest.approx(1.0)
    assert run.cosine_agreement(torch.tensor([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(math.sqrt(0.5))


def test_separability_is_d_prime_whatever_the_length_of_the_vector() -> None:
    generator = torch.Generator().manual_seed(0)
    along = torch.tensor([0.0, 1.0, 0.0])
    chosen, rejected = (torch.randn(500, 3, generator=generator) for _ in range(2))
    chosen[:, 1] += 2.0
    found = run.separability(chosen, rejected, along)
    a, b = chosen[:, 1].numpy(), rejected[:, 1].numpy()
    assert found == pytest.approx((a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), rel=1e-4)
    assert found == pytest.approx(2.0, abs=0.2)
    assert run.separability(chosen, rejected, 7 * along) == pytest.approx(found, rel=1e-5)


def answers(scores: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of two countries with a baseline of 5 on every item; separability grows with the country's place."""
    frames = [
        pd.DataFrame(
            {
                "language": "x", "country": country, "task": "open_ended", "method": "caa", "variant": "nonlocalized",
                "phrasing": 0, "question_id": [f"q{i}" for i in range(len(values))], "score": values, "baseline": 5.0,
                "agreement": 0.5, "separability": float(place), "pairs": 3,
            }
        )
        for place, (country, values) in enumerate(scores.items())
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def test_shares_and_gain_are_means_over_countries() -> None:
    rows = answers({"egypt": [4.0, 6.0], "nepal": [5.0, 9.0]})
    cells = report.reliability_cells(rows, TableOptions(resamples=50)).set_index("measure")["value"]
    assert cells["wrong"] == pytest.approx(25.0)
    assert cells["right"] == pytest.approx(50.0)
    assert cells["gain"] == pytest.approx(1.0)


def test_a_rank_correlation_needs_four_countries_that_differ() -> None:
    scores = {name: [5.0 + place, 5.0 + place] for place, name in enumerate(("egypt", "nepal", "mexico", "spain"))}
    countries = report.by_country(answers(scores))
    assert report.rank_correlation(countries, "separability") == pytest.approx(1.0)
    assert report.rank_correlation(countries, "agreement") is None
    assert report.rank_correlation(countries.head(3), "separability") is None


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("reliability") / "results"
    facts = {"train": 1, "validation": 2, "test": 1}
    made = [*small_study.make(folder, ("egypt",), facts, ("nonlocalized",)), "tasks=[open_ended]", "report.resamples=100"]
    config = compose([*made, "country=egypt"])
    prepare.main(config)
    write_answers(config, {"baseline": 0.0, "caa": 1.0, "yapo": 2.0})
    return [*made, "studies.reliability.countries=[egypt]"]


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    paths = Paths.of(config)
    run.main(config)
    path = paths.study_rows("reliability", "arabic", "egypt")
    rows = pd.read_parquet(path)
    assert set(rows["method"]) == set(config.methods)
    assert set(rows.loc[rows["method"] == "yapo", "score"] - rows.loc[rows["method"] == "yapo", "baseline"]) == {2.0}
    pairs = read_prepared(paths, "arabic", "egypt", "open_ended")
    chosen, rejected = run.answer_states(pairs, "nonlocalized")
    assert rows["pairs"].unique().tolist() == [len(chosen)]
    assert rows["agreement"].iloc[0] == pytest.approx(run.cosine_agreement(chosen - rejected), rel=1e-5)
    same_again(run.main, config, path)
    finding = reported(report.main, compose(overrides), "reliability")
    assert finding.tables == ("reliability",) and "CAA" in finding.reading
