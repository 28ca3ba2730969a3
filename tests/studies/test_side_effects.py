"""Side effects: gain, damage and entanglement from their equations, and the study of one country on the embedded model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.plain_decoding import complete, steered_logits
from tests.stages import small_study
from tests.studies.one_country import reported, same_again, write_answers
from yapo.config.compose import compose
from yapo.data.prompts import PromptFormat
from yapo.evaluation.bootstrap import fact_weights
from yapo.evaluation.exact import parse_choice
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages.inputs import read_items
from yapo.stages.vectors import VectorReader
from yapo.studies.side_effects import report, run
from yapo.studies.side_effects.cells import SideEffects, knowledge_rows, side_effects

OPTIONS = TableOptions(resamples=200)


def rows_of(measure: str, scores: dict[str, list[list[float]]], guess: float = 0.0) -> pd.DataFrame:
    """Rows of a measure by method, ``[country][fact]``."""
    return pd.DataFrame(
        [
            {"country": country, "method": method, "measure": measure, "question_id": f"f{i}", "score": value, "guess": guess}
            for method, both in scores.items()
            for country, values in zip(("egypt", "nepal"), both, strict=True)
            for i, value in enumerate(values)
        ]
    )


GAIN = rows_of(
    "gain", {"baseline": [[0.2, 0.4], [0.3, 0.3]], "random": [[0.1, 0.4], [0.3, 0.3]], "caa": [[0.6, 0.7], [0.8, 0.9]]}
)
ORDER = rows_of("order", {"baseline": [[1, 1], [1, 0]], "random": [[1, 1], [1, 0]], "caa": [[1, 0], [0, 0]]})
TEXT = rows_of(
    "text", {"baseline": [[-1, -2], [-1, -2]], "random": [[-1, -2], [-1, -2]], "caa": [[-2, -2], [-2, -3]]}, np.log(1e-2)
)


def asked(scores: dict[str, float], about: str = "same language", metric: str = "acc") -> pd.DataFrame:
    """Answers of the study ``knowledge``."""
    rows = [
        {"country": country, "method": method, "questions": "culture_mcq", "metric": metric, "about": about,
         "question_id": f"f{i}", "value": value}
        for method, value in scores.items() for country in ("egypt", "nepal") for i in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


KNOWLEDGE = asked({"baseline": 0.8, "random": 0.8, "caa": 0.6})


def found(*rows: pd.DataFrame, knowledge: pd.DataFrame = KNOWLEDGE) -> SideEffects:
    return side_effects(pd.concat(rows, ignore_index=True), knowledge, OPTIONS)


def test_damage_is_the_mean_share_that_is_lost_and_entanglement_that_of_a_point_of_gain() -> None:
    made = found(ORDER, TEXT, GAIN)
    table = made.measures.set_index(["measure", "method"])
    lost = table["lost"]
    assert table["value"]["text", "baseline"] == pytest.approx(np.exp(1.5))  # the perplexity
    assert [lost[name, "caa"] for name in ("order", "text", "culture_mcq")] == pytest.approx(
        [100 * (1 - 0.25 / 0.75), 100 * (1 - np.exp(-0.75)), 25.0]
    )
    caa = made.methods.set_index("method").loc["caa"]
    assert caa["gain"] == pytest.approx(45.0)
    assert caa["damage"] == pytest.approx(np.mean([lost[name, "caa"] for name in ("order", "text", "culture_mcq")]))
    assert caa["entanglement"] == pytest.approx(caa["damage"] / 45.0)
    assert set(made.methods["method"]) == {"random", "caa"}


def test_intervals_draw_the_same_facts_for_gain_and_damage() -> None:
    """Against the plain loop over resamples: countries apart, their mean, then gain, loss and the ratio."""
    generator = np.random.default_rng(0)
    gain, order = (
        rows_of(name, {"baseline": low, "caa": high})
        for name, low, high in (
            ("gain", generator.uniform(0.1, 0.3, (2, 6)).tolist(), generator.uniform(0.5, 0.9, (2, 6)).tolist()),
            ("order", generator.uniform(0.7, 1.0, (2, 6)).tolist(), generator.uniform(0.2, 0.9, (2, 6)).tolist()),
        )
    )
    made = found(gain, order, knowledge=KNOWLEDGE.iloc[:0]).methods.set_index("method").loc["caa"]
    ratios = []
    for weights in fact_weights(6, OPTIONS.resamples, OPTIONS.seed)[1:]:
        means = {
            (name, method): np.mean([np.average(part["score"], weights=weights) for _, part in own.groupby("country")])
            for name, rows in (("gain", gain), ("order", order))
            for method, own in rows.groupby("method")
        }
        lost = 1 - means["order", "caa"] / means["order", "baseline"]
        ratios.append(lost / (means["gain", "caa"] - means["gain", "baseline"]))
    assert [made["entanglement_low"], made["entanglement_high"]] == pytest.approx(np.quantile(ratios, [0.025, 0.975]).tolist())


def test_without_a_gain_there_is_no_entanglement() -> None:
    random = found(ORDER, TEXT, GAIN).methods.set_index("method").loc["random"]
    assert (random["gain"], random["damage"]) == pytest.approx((-2.5, 0.0))
    assert pd.isna(random["entanglement"]) and pd.isna(random["entanglement_low"])


def test_a_measure_at_which_the_model_guesses_is_not_counted() -> None:
    made = found(ORDER, TEXT.assign(guess=np.log(0.5)), GAIN)
    counted = made.measures.groupby("measure")["counted"].all()
    assert counted.to_dict() == {"order": True, "text": False, "culture_mcq": True}
    lost = made.measures.set_index(["measure", "method"])["lost"]
    damage = made.methods.set_index("method")["damage"]["caa"]
    assert damage == pytest.approx((lost["order", "caa"] + lost["culture_mcq", "caa"]) / 2)
    text = report.side_effects_table(made, "vectors: x", 2, OPTIONS).texts["md"]
    assert "Not counted, since the unsteered model is no better than a guess: Perplexity of plain text." in text


def test_of_lm_evals_answers_one_share_of_each_kind_of_question_counts() -> None:
    rows = pd.concat(
        [
            asked({"baseline": 3.0}, metric="word_perplexity"),
            KNOWLEDGE,
            asked({"baseline": 1.0}, metric="acc_norm"),
            asked({"baseline": 1.0}, about="own"),
            asked({"baseline": 0.5}).assign(question_id=""),
            asked({"baseline": 0.5}, about="", metric="prompt_level_strict_acc").assign(questions="ifeval"),
        ],
        ignore_index=True,
    )
    kept = knowledge_rows(rows)
    assert kept.groupby("measure")["metric"].unique().map(list).to_dict() == {
        "culture_mcq": ["acc"],
        "ifeval": ["prompt_level_strict_acc"],
    }
    assert set(kept["about"]) == {"same language", ""} and (kept["question_id"] != "").all()


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("side_effects") / "results"
    made = small_study.make(folder, ("egypt",), {"train": 1, "validation": 1, "test": 3}, ("nonlocalized",))
    made += ["report.resamples=100", "knowledge.vector_setting=nonlocalized", "generation.max_new_tokens_open_ended=4"]
    config, methods = compose([*made, "country=egypt"]), ("baseline", "prompt", "random", *small_study.METHODS)
    write_answers(config, {method: float(place) for place, method in enumerate(methods)})
    known = asked(dict.fromkeys(methods, 0.5)).query("country == 'egypt' and method != 'prompt'")
    write_parquet(Paths.of(config).study_rows("knowledge", "arabic", "egypt"), known)
    return made


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    paths = Paths.of(config)
    run.main(config)
    path = paths.study_rows("side_effects", "arabic", "egypt")
    rows = pd.read_parquet(path)
    assert set(rows["method"]) == {"baseline", "random", "caa", "yapo"}
    assert rows.groupby("measure")["question_id"].nunique().to_dict() == {
        "gain": 3, "order": 3, "instructions": 3, "answered": 24, "text": 24,
    }  # fmt: skip
    assert rows.query("measure == 'gain' and method == 'yapo'")["score"].unique().tolist() == [0.4]

    lm = load_language_model(config.model)
    vector = VectorReader(config, lm, small_study.LAYER).read("arabic", "egypt", "yapo", "open_ended", "nonlocalized")
    own = rows[rows["method"] == "yapo"].set_index(["measure", "question_id"])["score"]
    line = run.TEXTS.read_text(encoding="utf-8").splitlines()[3]
    ids = lm.tokenizer.text(line)
    log_probs = steered_logits(lm, small_study.LAYER, ids[:1], ids[1:-1], vector.chosen).log_softmax(dim=-1)
    expected = float(np.mean([float(row[token]) for row, token in zip(log_probs, ids[1:], strict=True)]))
    assert own["text", "text/3"] == pytest.approx(expected, rel=1e-4)

    items = read_items(config, "egypt").query("split == 'test' and variant == 'localized' and phrasing == 0")

    def chosen(question: str, options: list[str]) -> str | None:
        prompt = lm.tokenizer.prompt(PromptFormat().prompt("mcq", question, options))
        ((answer,),) = complete(lm, small_study.LAYER, [prompt], [vector.chosen], 8)
        choice = parse_choice(lm.tokenizer.decode(answer), len(options))
        return None if choice is None else options[choice]

    for item in items.itertuples():
        one, other = (chosen(item.question, list(options)) for options in (item.options, item.options[::-1]))
        assert own["order", item.question_id] == (one is not None and one == other)
    same_again(run.main, config, path)
    finding = reported(report.main, compose(overrides), "side_effects")
    assert "Gain on test questions, in points of 100: Random +20.0" in finding.reading
