"""Opinions: the measure from its equation, the numbers from made answers, and the study of one country on the embedded model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.published_rows import write
from tests.data.test_global_opinions import row
from tests.refusals import refused
from tests.stages import small_study
from tests.studies.one_country import reported, same_again
from yapo.config.compose import compose
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages import app
from yapo.studies.checks import check_study
from yapo.studies.opinions import report, run
from yapo.studies.registry import ALONE, STUDIES

QUESTIONS = [
    row("Is the economy good?", {"Egypt": [0.2, 0.5, 0.3], "Britain": [0.6, 0.4, 0.0]}, ["Good", "Bad", "DK/Refused"]),
    row("Do you trust others?", {"Egypt": [0.7, 0.3]}, ["Yes", "No"]),
    row("Is religion important?", {"Egypt": [0.9, 0.05, 0.05]}, ["Very", "Somewhat", "Not"]),
    row("Not asked there?", {"Britain": [0.5, 0.5]}, ["Yes", "No"]),
]


def plain_similarity(p: list[float], q: list[float]) -> float:
    """1 - sqrt((KL(p || m) + KL(q || m)) / 2) in bits, m the mean of both."""
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    divergence = sum(
        sum(x * math.log2(x / m) for x, m in zip(side, middle, strict=True) if x > 0) / 2 for side in (p, q)
    )  # fmt: skip
    return 1 - math.sqrt(max(divergence, 0.0))


def test_similarity_is_one_less_the_jensen_shannon_distance() -> None:
    generator = np.random.default_rng(0)
    for size in (2, 3, 7):
        p, q = generator.dirichlet(np.ones(size), 2)
        assert run.similarity(p, tuple(q)) == pytest.approx(plain_similarity(p.tolist(), q.tolist()))
        assert run.similarity(p, tuple(p)) == pytest.approx(1.0)
    assert run.similarity(np.array([1.0, 0.0]), (0.0, 1.0)) == pytest.approx(0.0)


def test_probabilities_are_those_of_the_answers_made_to_sum_to_one() -> None:
    found = run.probabilities([math.log(0.02), math.log(0.06)], [1, 1])
    assert found == pytest.approx([0.25, 0.75])
    assert run.probabilities([-2.0, -4.0], [1, 2]) == pytest.approx([0.5, 0.5])  # per character


def scores(gains: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of two countries, 0.4 unsteered for every question; ``caa`` gains what is given."""
    frames = []
    for country, values in gains.items():
        for method, own in {"baseline": [0.4] * len(values), "caa": [0.4 + gain for gain in values]}.items():
            ids = [f"q{i}" for i in range(len(values))]
            frames.append(pd.DataFrame({"country": country, "method": method, "question_id": ids, "score": own}))
    return pd.concat(frames, ignore_index=True)


def test_changes_are_paired_by_question() -> None:
    rows = scores({"egypt": [0.2, 0.0] * 20, "nepal": [0.1] * 40})
    cells = report.opinion_cells(rows, TableOptions(resamples=200)).set_index(["country", "method"])
    assert cells.loc[("egypt", "caa"), "change"] == pytest.approx(0.1)
    low, high = cells.loc[("egypt", "caa"), ["change_low", "change_high"]]
    assert 0 < low < 0.1 < high < 0.2
    assert cells.loc[(report.EVERY, "caa"), "change"] == pytest.approx(0.1)
    assert cells["n_facts"].unique().tolist() == [40]
    assert cells.loc[("egypt", "baseline"), "change"] != cells.loc[("egypt", "baseline"), "change"]  # none


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("opinions")
    made = small_study.make(folder / "results", ("egypt",), {"train": 1, "validation": 1, "test": 1}, ("nonlocalized",))
    return [*made, f"studies.opinions.path={write(folder / 'global_opinions.csv', QUESTIONS)}", "report.resamples=100"]


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    paths = Paths.of(config)
    app.run(run.main, [*overrides, "country=egypt"])  # with the settings that it declares
    path = paths.study_rows("opinions", "arabic", "egypt")
    rows = pd.read_parquet(path)
    assert set(rows["method"]) == {"baseline", "random", "prompt", "caa", "yapo"}
    assert set(rows["question_id"]) == {"opinion-1", "opinion-2", "opinion-3"}
    assert rows["score"].between(0, 1).all()
    by_method = rows.groupby("method")["score"].mean()
    assert by_method["baseline"] not in (by_method["caa"], by_method["prompt"])
    same_again(run.main, config, path)
    finding = reported(report.main, compose(overrides), "opinions")
    assert "Jensen-Shannon distance) over 3 questions and 1 country" in finding.reading
    table = (paths.root / "tables" / "opinions.md").read_text(encoding="utf-8")
    assert "| CAA |" in table


def test_it_needs_a_file_and_a_country_that_was_asked(overrides: list[str], tmp_path: Path) -> None:
    refused(lambda: check_study(compose([]), "opinions"), "studies.opinions.path=: opinions reads a file of yours")
    assert set(STUDIES) - set(ALONE) == {"between_models", "opinions", "regions"}
    check_study(compose(overrides), "opinions")
    nowhere = write(tmp_path / "opinions.csv", QUESTIONS[3:])
    config = compose([*overrides, "country=egypt", f"studies.opinions.path={nowhere}"])
    refused(lambda: run.main(config), f"studies.opinions.path={nowhere}: egypt answered none of its questions; leave it out")
    short = compose([*overrides, "country=egypt", "model.max_prompt_tokens=4"])
    refused(lambda: run.main(short), "model.max_prompt_tokens=4: a question of studies.opinions.path has")
