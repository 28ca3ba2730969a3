"""The λ sweep: coherence, numbers, table and figure from known rows, and the study of one country on the embedded model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.plain_decoding import complete
from tests.stages import small_study
from tests.studies.one_country import reported, same_again
from yapo.config.compose import compose
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.paths import Paths
from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import Table, TableOptions
from yapo.steering.interventions import Dense
from yapo.steering.vector import SteeringVector
from yapo.studies.lambda_sweep import report, run
from yapo.studies.lambda_sweep.coherence import coherence, repeated
from yapo.studies.lambda_sweep.report import (
    best_multipliers,
    finding_values,
    gold_gap,
    lambda_sweep_table,
    sweep_cells,
    sweep_figure,
)

PROMPTS = ["What do people usually eat for breakfast?", "Tea?", "Where?"]
TEXTS = ["Right, Fry-up with beans", "", "tea tea tea tea tea tea tea"]


def plain_log_prob(lm: LanguageModel, prompt: list[int], text: str) -> float:
    """Mean log p of the text's tokens and the end of the turn, one text at a time."""
    end = lm.tokenizer.response(text)
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + end])).logits[0].float().log_softmax(dim=-1)
    return float(sum(logits[len(prompt) - 1 + i, token] for i, token in enumerate(end)) / len(end))


def test_log_prob_is_the_unsteered_models(lm: LanguageModel) -> None:
    prompts = [lm.tokenizer.prompt(text) for text in PROMPTS]
    pairs = [(prompt, text) for prompt in prompts for text in TEXTS]
    expected = [plain_log_prob(lm, *pair) for pair in pairs]
    assert len({round(value, 3) for value in expected}) == len(pairs)
    for batch_size in (2, 64):
        found = coherence(lm, [prompt for prompt, _ in pairs], [text for _, text in pairs], batch_size)
        assert found["log_prob"].tolist() == pytest.approx(expected, abs=2e-4)
    again = coherence(lm, [prompts[0]] * 3, [TEXTS[0], TEXTS[2], TEXTS[0]], 2)
    assert again["log_prob"].tolist() == pytest.approx([expected[0], expected[2], expected[0]], abs=2e-4)


def test_a_loop_repeats_and_an_answer_does_not(gemma: LanguageModel) -> None:
    prompts = [gemma.tokenizer.prompt(PROMPTS[1])] * 3
    found = coherence(gemma, prompts, TEXTS, 8)["repeated"]
    assert found.tolist()[:2] == [0.0, 0.0]
    assert found[2] > 0.5


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_share_of_repeated_ngrams(tokens: list[int], n: int) -> None:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    seen_before = [gram in grams[:i] for i, gram in enumerate(grams)]
    assert repeated(tokens, n) == pytest.approx(sum(seen_before) / len(grams) if grams else 0.0)


def test_of_one_token_over_and_over() -> None:
    assert repeated([7] * 10, 3) == pytest.approx(7 / 8)
    assert repeated([1, 2]) == 0.0


OPTIONS = TableOptions(resamples=200, note="a note")
GRID = (-1.0, 1.0, 2.0)
# Facts answered right, of four, in two countries; what is said gets less likely with |λ|.
RIGHT = {
    "caa": {-1.0: (0, 0), 1.0: (3, 3), 2.0: (0, 0)},
    "yapo": {-1.0: (1, 1), 1.0: (2, 2), 2.0: (4, 4)},
    "random": {-1.0: (1, 1), 1.0: (1, 1), 2.0: (1, 0)},
}
LOST = {"caa": -2.0, "yapo": -0.1, "random": 0.0}


def known_rows(task: str = "mcq", grid: tuple[float, ...] = GRID) -> pd.DataFrame:
    made = []
    for variant in ("localized", "nonlocalized"):
        for place, country in enumerate(("egypt", "nepal")):
            points = [("baseline", 0.0, 1)] + [(m, x, right[x][place]) for m, right in RIGHT.items() for x in grid]
            for method, multiplier, right in points:
                for fact in range(4):
                    lost = abs(multiplier) * LOST.get(method, 0.0)
                    made.append(
                        {
                            "language": "x", "country": country, "task": task, "setting": "nonlocalized", "method": method,
                            "variant": variant, "question_id": f"f{fact}", "phrasing": 0, "multiplier": multiplier,
                            "displacement": 3 * abs(multiplier), "score": (1.0 if task == "mcq" else 10.0) * (fact < right),
                            "parsed": not (method == "caa" and multiplier == 2.0 and fact == 0), "log_prob": -0.5 + lost,
                            "repeated": 0.5 if method == "caa" and multiplier == 1.0 else 0.0, "gold_log_prob": -1.0,
                        }
                    )  # fmt: skip
    return pd.DataFrame(made)


def table(rows: pd.DataFrame) -> Table:
    return lambda_sweep_table(rows, sweep_cells(rows, OPTIONS), best_multipliers(rows, OPTIONS), OPTIONS)


def reading(rows: pd.DataFrame) -> str:
    values = finding_values(rows, sweep_cells(rows, OPTIONS), best_multipliers(rows, OPTIONS))
    return render_blocks(report.FINDING, **values)["reading"]


def test_cells_are_means_over_countries_with_differences_from_the_unsteered_model() -> None:
    cells = sweep_cells(known_rows(), OPTIONS).set_index(["variant", "method", "multiplier", "measure"]).sort_index()
    caa = cells.loc["nonlocalized", "caa", 1.0]
    assert caa.loc["score", ["value", "change"]].tolist() == [75.0, 50.0]
    assert caa.loc["log_prob", ["value", "change"]].tolist() == [-2.5, -2.0]
    assert caa.loc["repeated", "value"] == 50.0
    assert caa.loc["score", ["n", "n_facts", "countries", "displacement"]].tolist() == [8, 4, 2, 3.0]
    assert cells.loc["localized", "caa", 2.0].loc["unparsed", "value"] == 25.0
    assert cells.loc["localized", "random", 2.0].loc["score", "value"] == 12.5
    base = cells.loc["localized", "baseline", 0.0].loc["score"]
    assert base[["value", "change", "change_low", "change_high"]].tolist() == [25.0, 0.0, 0.0, 0.0]
    spread = caa.loc["score"]
    assert spread["low"] < spread["value"] < spread["high"]
    assert spread["change_low"] < spread["change"] < spread["change_high"]


def test_best_multiplier_and_its_interval() -> None:
    best = best_multipliers(known_rows(), OPTIONS).set_index(["variant", "method"])
    assert best.loc[("nonlocalized", "caa"), "best"] == 1.0
    assert best.loc[("nonlocalized", "yapo"), "best"] == 2.0
    # Level with the baseline at every point: the smallest |λ| wins.
    assert best.loc[("nonlocalized", "random"), "best"] == 0.0
    assert (best["best_low"] <= best["best"]).all()
    assert (best["best"] <= best["best_high"]).all()
    without = best_multipliers(known_rows(), TableOptions(resamples=0))
    assert without["best_low"].isna().all()


def test_table() -> None:
    made = table(known_rows())
    lines = [line for line in made.texts["md"].splitlines() if "CAA" in line]
    assert len(lines) == 2
    cells = [cell.strip() for cell in lines[1].strip("|").split("|")]
    assert cells[2].startswith("1 [")
    assert cells[3].startswith("75.0 [")
    assert cells[4] == "−2.00 [−2.00, −2.00]"
    assert cells[6] == "0.0 [0.0, 60.2]"  # all wrong: of four facts that are, six in ten may be right ones
    assert cells[8:10] == ["50.0 [50.0, 50.0]", "0.0 [0.0, 60.2]"]
    assert cells[11] == "8 (4 facts)"
    assert "Right answers differ from the unsteered ones by −0.50 (multiple choice, localized)" in made.texts["md"]
    assert "tends to be too high, by an amount that need not be the same for every method" in made.texts["md"]
    assert "a note" in made.texts["tex"]


def test_a_grid_without_one_leaves_its_cells_out() -> None:
    made = table(known_rows(grid=(2.0,)))
    line = next(line for line in made.texts["md"].splitlines() if "YaPO" in line)
    assert line.count("–") == 6
    assert "λ = −1: not measured." in reading(known_rows(grid=(2.0,)))


def test_right_answers_cost_what_they_do_in_each_country_counted_once() -> None:
    made = known_rows()
    more = made[made["country"] == "egypt"].assign(question_id="g", gold_log_prob=-3.5)
    both = pd.concat([made, *[more.assign(question_id=f"g{place}") for place in range(3)]])
    # Egypt: 4 facts at -0.5 and, in this order, 12 at -3.0; Nepal: -0.5.
    expected = ((4 * -0.5 + 12 * -3.0) / 16 - 0.5) / 2
    assert gold_gap(both)["mcq", "nonlocalized"] == pytest.approx(expected)


def test_the_finding_gives_changes_with_intervals_and_what_they_cost() -> None:
    text = reading(known_rows())
    assert "Best λ: Random 0, CAA 1, YaPO 2 (an end of the grid)." in text
    assert "λ = 1: Random +0.0 [+0.0, +0.0], CAA +50.0 [" in text
    assert "Parse failures reach 25.0% (CAA, λ = 2)." in text
    assert "λ = 1: Random +0.00, CAA −2.00, YaPO −0.10; the right answers: −0.50." in text
    assert "Open-ended (unsteered 2.50)." in reading(known_rows("open_ended"))


@pytest.mark.parametrize("by_displacement", [False, True])
def test_figure_runs_through_the_unsteered_model(by_displacement: bool) -> None:
    cells = sweep_cells(pd.concat([known_rows("mcq"), known_rows("open_ended")]), OPTIONS)
    gold = pd.Series(-1.0, pd.MultiIndex.from_frame(cells[["task", "variant"]].drop_duplicates()))
    figure = sweep_figure(cells, gold, "nonlocalized", by_displacement=by_displacement)
    score = figure.axes[1]
    assert score.get_title(loc="left") == "Multiple choice,\nnon-localized"
    drawn = {tuple(line.get_xdata()): line.get_ydata().tolist() for line in score.lines if len(line.get_xdata()) == 4}
    x = (-3.0, 0.0, 3.0, 6.0) if by_displacement else (-1.0, 0.0, 1.0, 2.0)
    assert list(drawn) == [x]
    ys = [line.get_ydata() for line in score.lines if len(line.get_xdata()) == 4]
    assert [list(np.asarray(y)) for y in ys] == [[25, 25, 25, 12.5], [0, 25, 75, 0], [25, 25, 50, 100]]


def test_no_rows_is_refused() -> None:
    with pytest.raises(YapoError, match="no rows of the λ sweep; name countries of this experiment"):
        sweep_cells(known_rows().head(0), OPTIONS)


SWEPT = [-1.0, 0.0, 1.0]
FACTS = {"train": 1, "validation": 2, "test": 1}


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sweep") / "results"
    made = small_study.make(folder, ("egypt",), FACTS, ("nonlocalized",))
    own = ["tasks=[open_ended]", "studies.lambda_sweep.countries=[egypt]", "studies.lambda_sweep.settings=[nonlocalized]"]
    return [*made, *own, f"studies.lambda_sweep.multipliers={SWEPT}", "report.resamples=100"]


@pytest.fixture(scope="module")
def rows(overrides: list[str]) -> pd.DataFrame:
    config = compose([*overrides, "country=egypt"])
    run.main(config)
    return pd.read_parquet(Paths.of(config).study_rows("lambda_sweep", "arabic", "egypt"))


@pytest.fixture(scope="module")
def world_lm(overrides: list[str]) -> LanguageModel:
    return load_language_model(compose(overrides).model)


def test_one_row_per_validation_item_and_point(rows: pd.DataFrame, overrides: list[str]) -> None:
    split = pd.read_parquet(Paths.of(compose(overrides)).split).set_index("question_id")["split"]
    assert set(rows["question_id"].map(split)) == {"validation"}
    points = {(method, m) for method in ("caa", "yapo", "random") for m in (-1.0, 1.0)} | {("baseline", 0.0)}
    for _, cell in rows.groupby(["task", "variant"]):
        assert set(zip(cell["method"], cell["multiplier"], strict=True)) == points
        assert cell.groupby(["method", "multiplier"]).size().unique().tolist() == [4]
    assert not rows.duplicated(["task", "variant", "method", "multiplier", "question_id", "phrasing"]).any()


def test_random_moves_as_far_as_the_strongest_vector_at_1(rows: pd.DataFrame) -> None:
    moved = rows.groupby(["task", "method", "multiplier", "variant"])["displacement"].first().groupby(level=[0, 1, 2]).mean()
    moved = moved.xs("open_ended")
    strongest = max(moved[method, 1.0] for method in ("caa", "yapo"))
    assert moved["random", 1.0] == pytest.approx(strongest, rel=1e-4)
    assert moved["random", -1.0] == pytest.approx(strongest, rel=1e-4)
    assert moved["baseline", 0.0] == 0


def test_answers_are_those_of_the_vector_at_that_strength(
    rows: pd.DataFrame, overrides: list[str], world_lm: LanguageModel
) -> None:
    paths = Paths.of(compose(overrides))
    vector = SteeringVector.load(paths.vector("arabic", "egypt", "caa", "open_ended", "nonlocalized"))
    items = pd.read_parquet(paths.items)
    for multiplier in (-1.0, 1.0):
        chosen = (rows["method"] == "caa") & (rows["multiplier"] == multiplier)
        own = rows[chosen & (rows["task"] == "open_ended") & (rows["variant"] == "localized")]
        asked = own.merge(items, on=["question_id", "country", "variant", "phrasing"], how="left")
        ids = [world_lm.tokenizer.prompt(PromptFormat().prompt("open_ended", q, [])) for q in asked["question"]]
        condition = Condition(Dense(world_lm.d_model), multiplier * vector.values)
        texts = [world_lm.tokenizer.decode(t) for t in complete(world_lm, small_study.LAYER, ids, [condition], 24)[0]]
        found = coherence(world_lm, ids, texts, 8)
        assert own["log_prob"].tolist() == pytest.approx(found["log_prob"].tolist(), abs=1e-5)
        assert own["repeated"].tolist() == found["repeated"].tolist()
        right = coherence(world_lm, ids, asked["answer"].tolist(), 8)["log_prob"]
        assert own["gold_log_prob"].tolist() == pytest.approx(right.tolist(), abs=1e-5)


def test_again_gives_the_same_bytes(rows: pd.DataFrame, overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    path = Paths.of(config).study_rows("lambda_sweep", "arabic", "egypt")
    assert len(rows)
    same_again(run.main, config, path)


def test_table_figures_and_finding(rows: pd.DataFrame, overrides: list[str]) -> None:
    assert len(rows)
    finding = reported(report.main, compose(overrides), "lambda_sweep")
    assert finding.figures == ("lambda_sweep_nonlocalized", "lambda_sweep_nonlocalized_displacement")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["country=morocco"], "morocco has no vector by caa yet; run the stage evaluate for country=morocco first"),
        (["settings=[localized]"], "^studies.lambda_sweep.settings=nonlocalized: unknown setting .*choose among localized"),
    ],
)
def test_missing_vectors_are_named(overrides: list[str], override: list[str], message: str) -> None:
    with pytest.raises(YapoError, match=message):
        run.main(compose([*overrides, *override]))
