"""Stages ``evaluate`` and ``tables`` where multiple choice is answered in two ways, on a few facts of the embedded world."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.stages import small_study
from yapo.checks import Setting
from yapo.config.compose import compose
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import parse_choice
from yapo.evaluation.options import OptionAnswers
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.reporting.main_tables import TABLE_NAMES
from yapo.reporting.numbers import read_numbers
from yapo.stages import evaluate, prepare, tables
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_items
from yapo.steering.vector import SteeringVector, TrainedVector

SETTINGS: tuple[Setting, ...] = ("localized", "nonlocalized")
BOTH = "generation.mcq=[boxed,likelihood]"


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study of Egypt with a vector of one epoch for each cell, evaluated in both ways."""
    facts = {"train": 1, "validation": 1, "test": 2}
    made = small_study.make(tmp_path_factory.mktemp("ways"), ("egypt",), facts, SETTINGS)
    made += ["country=egypt", "tasks=[mcq]", "settings=[localized,nonlocalized]", "selection.multipliers=[1.0]"]
    made += ["report.resamples=100"]
    paths = Paths.of(compose(made))
    for method in small_study.METHODS:
        for setting in SETTINGS:
            chosen = SteeringVector.load(paths.vector("arabic", "egypt", method, "mcq", setting))
            place = paths.trained("arabic", "egypt", method) / f"mcq-{setting}.safetensors"
            TrainedVector(chosen.values[None], chosen.info).save(place)
    run(evaluate.main, [*made, BOTH])
    run(tables.main, [*made, BOTH])
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_other_way_answers_the_same_questions_under_what_the_first_chose(overrides: list[str]) -> None:
    paths = Paths.of(compose(overrides))
    boxed, likelihood = (pd.read_parquet(paths.evaluation("arabic", "egypt", way)) for way in ("", "likelihood"))
    same = ["task", "setting", "method", "variant", "question_id", "phrasing", "multiplier", "epoch", "answer", "question"]
    pd.testing.assert_frame_equal(likelihood[same], boxed[same])
    assert likelihood["parsed"].all()
    assert all(parse_choice(text, 99) is not None for text in likelihood["completion"])
    assert (likelihood["score"] == likelihood["exact"]).all()
    baseline = likelihood[likelihood["method"] == "baseline"]
    assert baseline["score"].mean() > 0.3  # the embedded model knows the localized answers, so this is above one of five


def test_tables_show_both_and_csv_readers_get_the_first(overrides: list[str]) -> None:
    folder = Paths.of(compose(overrides)).root / "tables"
    text = (folder / "table1_mcq.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    ways = ["boxed number", "likelihood of the number (acc)"]
    assert headings == [f"{setting}; {way}" for setting in ("Localized", "Non-localized") for way in ways]
    assert "were chosen by the first, boxed number" in text
    whole = pd.read_csv(folder / "summary.csv")
    assert whole["way"].unique().tolist() == ways
    assert len(read_numbers(folder / "summary.csv")) == len(whole) / 2
    positions = pd.read_csv(folder / "option_positions.csv")
    assert set(positions["way"]) == set(ways)
    assert not positions.loc[(positions["position"] == "none") & (positions["way"] == ways[1]), "value"].any()


def test_a_second_way_leaves_what_the_first_gives_as_it_was(overrides: list[str]) -> None:
    """Alone, boxed answers give the same test rows and the same numbers; from the cache, and without the second file."""
    paths = Paths.of(compose(overrides))
    evaluation, both = paths.evaluation("arabic", "egypt"), files(paths.root / "tables")
    before, other = evaluation.read_bytes(), paths.evaluation("arabic", "egypt", "likelihood")
    numbers = {name: read_numbers(paths.root / "tables" / f"{name}.csv") for name in ("summary", "table3_rca_pnlg_language")}
    other.unlink()
    run(evaluate.main, overrides)
    run(tables.main, overrides)
    assert evaluation.read_bytes() == before
    assert not other.exists()
    alone = files(paths.root / "tables")
    assert set(alone) == set(both) == {
        f"{name}.{kind}" for name in TABLE_NAMES for kind in ("csv", "md", "tex", "html") if (name, kind) != ("examples", "tex")
    }  # fmt: skip
    assert alone["examples.html"] == both["examples.html"]
    assert alone["table7_dataset.tex"] == both["table7_dataset.tex"]
    for name, frame in numbers.items():
        pd.testing.assert_frame_equal(read_numbers(paths.root / "tables" / f"{name}.csv"), frame)
        assert b"way" not in alone[f"{name}.csv"].splitlines()[0]


@pytest.mark.parametrize("answer", ["number", "text"])
def test_pairs_reject_the_likeliest_wrong_option(overrides: list[str], answer: str) -> None:
    """Both answers of a pair have the form that is weighed, boxed numbers or texts, if a likelihood comes first."""
    made = [*overrides, "generation.mcq=[likelihood]", f"generation.likelihood.answer={answer}"]
    config = compose(made)
    run(prepare.main, made)
    pairs = pd.read_parquet(Paths.of(config).pairs("arabic", "egypt", "mcq"))
    items = read_items(config, "egypt").set_index(["question_id", "variant", "phrasing"])
    lm, prompts = load_language_model(config.model), prompt_format(config)
    assert pairs["on_policy"].any() or answer == "number"  # the embedded model knows the numbers
    for pair in pairs.itertuples():
        item = items.loc[(pair.question_id, pair.variant, pair.phrasing)]
        options = OptionAnswers.of(item.to_frame().T, prompts, lm.tokenizer, config.generation.likelihood)
        ((likeliest,),) = options.choose(lm, small_study.LAYER, [Condition()], 1)
        boxed = [f"\\boxed{{{k + 1}}}" for k in range(len(item["options"]))]
        answers = boxed if answer == "number" else list(item["options"])
        assert answers.index(pair.chosen) == item["answer_index"]
        assert pair.rejected in answers and pair.rejected != pair.chosen
        assert bool(pair.on_policy) == (boxed.index(likeliest) != item["answer_index"])
        assert pair.rejected == answers[boxed.index(likeliest)] or not pair.on_policy
        assert (item["options"][0] in pair.prompt) is (answer == "number")


def test_a_likelihood_that_comes_first_decides(overrides: list[str]) -> None:
    paths = Paths.of(compose(overrides))
    run(evaluate.main, [*overrides, "generation.mcq=[likelihood]", "generation.likelihood.answer=text"])
    validation = pd.read_parquet(paths.validation("arabic", "egypt"))
    assert (validation["parse_failure_rate"] == 0).all()
    assert pd.read_parquet(paths.evaluation("arabic", "egypt"))["parsed"].all()
