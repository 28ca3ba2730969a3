"""Equal disturbance: numbers, table and figure from hand-made rows, and the study of one country on the embedded model."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.evaluation.plain_decoding import complete
from tests.evaluation.test_divergence import plain
from tests.stages import small_study
from tests.studies.one_country import reported, same_again, write_answers
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.divergence import TOLERANCE
from yapo.evaluation.judges import get_judge
from yapo.evaluation.own_answers import OwnAnswers
from yapo.evaluation.scoring import Answerer
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages.inputs import prompt_format, read_items
from yapo.stages.vectors import VectorReader
from yapo.studies.equal_kl import report, run
from yapo.studies.equal_kl.cells import gain_cells, rows_at
from yapo.studies.equal_kl.figure import overview

OPTIONS = TableOptions(resamples=100)


def rows_of(scores: dict[tuple[str, float], list[list[float]]]) -> pd.DataFrame:
    """Open-ended rows of two countries by method and level, ``[country][fact]``."""
    return pd.DataFrame(
        [
            {
                "language": "Arabic", "country": country, "task": "open_ended", "setting": "nonlocalized", "method": method,
                "level": level, "variant": "nonlocalized", "phrasing": 0, "question_id": f"q{fact}", "multiplier": 1.0,
                "score": value, "parsed": True,
            }
            for (method, level), of_method in scores.items()
            for country, values in zip(("egypt", "morocco"), of_method, strict=False)
            for fact, value in enumerate(values)
        ]
    )  # fmt: skip


def multipliers_of(values: dict[tuple[str, float], list[float]]) -> pd.DataFrame:
    """Multipliers of both countries by method and level; the divergence is ten times the multiplier."""
    return pd.DataFrame(
        [
            {
                "task": "open_ended", "setting": "nonlocalized", "method": method, "level": level, "country": country,
                "multiplier": value, "divergence": 10 * value, "monotone": value != 7.0,
            }
            for (method, level), both in values.items()
            for country, value in zip(("egypt", "morocco"), both, strict=True)
        ]
    )  # fmt: skip


NAN = float("nan")
ROWS = rows_of(
    {
        ("baseline", 0.0): [[1.0, 3.0], [2.0, 2.0]],
        ("prompt", 0.0): [[9.0, 9.0], [9.0, 9.0]],
        ("random", 0.0): [[1.0, 3.0], [2.0, 2.0]],
        ("caa", 0.0): [[5.0, 5.0], [6.0, 6.0]],
        ("yapo", 0.0): [[4.0, 4.0], [4.0, 4.0]],
        ("random", 1.0): [[1.0, 1.0], [1.0, 1.0]],
        ("caa", 1.0): [[2.0, 4.0], [3.0, 3.0]],
        ("yapo", 1.0): [[8.0, 8.0]],  # Morocco's vector reaches the level nowhere
    }
)
MULTIPLIERS = multipliers_of(
    {
        ("caa", 0.0): [2.0, 4.0],
        ("yapo", 0.0): [1.0, 1.0],
        ("random", 0.0): [0.5, 0.5],
        ("caa", 1.0): [0.5, 7.0],
        ("yapo", 1.0): [3.0, NAN],
        ("random", 1.0): [0.1, 0.3],
    }
)


def test_gains_at_both_strengths() -> None:
    cells = gain_cells(ROWS, MULTIPLIERS, OPTIONS).set_index(["method", "level"])
    gains = cells["delta_vs_baseline"]
    assert [gains["caa", level] for level in (0.0, 1.0)] == pytest.approx([3.5, 1.0])
    assert gains["random", 1.0] == pytest.approx(-1.0)
    assert gains["prompt", 0.0] == pytest.approx(7.0)
    assert ("prompt", 1.0) not in cells.index  # the same at every level
    caa = cells.loc[("caa", 0.0)]
    assert [caa[f"multiplier{end}"] for end in ("", "_low", "_high")] == [3.0, 2.0, 4.0]
    assert [caa[f"divergence{end}"] for end in ("", "_low", "_high")] == [30.0, 20.0, 40.0]


def test_a_method_that_misses_a_level_in_one_country_has_no_gain_there() -> None:
    yapo = gain_cells(ROWS, MULTIPLIERS, OPTIONS).set_index(["method", "level"]).loc[("yapo", 1.0)]
    assert pd.isna(yapo["value"])
    assert (yapo["reached"], yapo["vectors"]) == (1, 2)
    text = report.equal_kl_table(gain_cells(ROWS, MULTIPLIERS, OPTIONS), [1.0], OPTIONS).texts["md"]
    line = next(line for line in text.splitlines() if "| YaPO |" in line)
    assert "3 (1 of 2)" in line and line.rstrip(" |").endswith("–")
    assert "1 vector of YaPO reach a level at no λ" in text
    assert "Of 1 vector the divergence falls" in text


def test_what_a_bound_on_the_choice_costs_stands_beside_it() -> None:
    given_up = MULTIPLIERS["country"].map({"egypt": 0.5, "morocco": 0.0})
    chosen = (MULTIPLIERS["level"] == 0.0) & (MULTIPLIERS["method"] != "random")
    cells = gain_cells(ROWS, MULTIPLIERS.assign(given_up=given_up.where(chosen)), OPTIONS)
    lines = report.equal_kl_table(cells, [1.0], OPTIONS).texts["md"].splitlines()
    found = {line.split("|")[2].strip(): line.split("|")[5].strip() for line in lines if line.startswith("| ")}
    assert found["Method"] == "Validation score given up"
    assert (found["CAA"], found["Random"]) == ("0.25", "–")


def test_rows_of_a_level_keep_the_conditions_without_a_multiplier() -> None:
    part = rows_at(ROWS, 1.0)
    assert set(part["method"]) == {"baseline", "prompt", "random", "caa", "yapo"}
    assert set(part.loc[part["method"].isin(["random", "caa"]), "level"]) == {1.0}
    tables = report.views(part, 1.0, "boxed number", OPTIONS)
    assert set(tables) == {f"{name}_kl_1" for name in report.VIEWS}
    summary = tables["summary_kl_1"]
    assert "at a divergence of 1 nat" in summary.texts["md"]
    assert summary.data.set_index("method")["value"].to_dict() == pytest.approx(
        {"baseline": 2.0, "prompt": 9.0, "random": 1.0, "caa": 3.0}
    )


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("equal_kl") / "results"
    made = small_study.make(folder, ("egypt",), {"train": 1, "validation": 2, "test": 2}, ("nonlocalized",))
    made += ["tasks=[open_ended]", "settings=[nonlocalized]", "report.resamples=100", "studies.equal_kl.levels=[0.5]"]
    made.append("selection.max_kl=2.0")
    config = compose([*made, "country=egypt"])
    write_answers(config, dict.fromkeys(("baseline", "prompt", "random", *config.methods), 1.0))
    grid = [
        {"method": method, "score": score, "selected": score == 4.0, "selected_unbounded": score == 4.5}
        for method in config.methods
        for score in (4.0, 4.5)
    ]
    place = {"language": "Arabic", "country": "egypt", "task": "open_ended", "setting": "nonlocalized"}
    write_parquet(Paths.of(config).validation("arabic", "egypt"), pd.DataFrame(grid).assign(**place))
    for method in config.methods:
        counted = {"prepare_flops": 1e9, "fit_flops": 2e9, "edit_flops": 1e3, "token_flops": 1e6}
        costs = pd.DataFrame([{"task": "open_ended", "method": method, "country": "egypt", **counted}])
        write_parquet(Paths.of(config).study_rows(f"costs_{method}", "arabic", "egypt"), costs)
    return made


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    paths = Paths.of(config)
    run.main(config)
    path, found = (paths.study_rows(name, "arabic", "egypt") for name in ("equal_kl", "equal_kl_multipliers"))
    rows, multipliers = pd.read_parquet(path), pd.read_parquet(found).set_index(["method", "level"])
    assert set(multipliers.index) == {(method, level) for method in ("caa", "yapo", "random") for level in (0.0, 0.5)}
    assert multipliers["given_up"].dropna().to_dict() == {("caa", 0.0): 0.5, ("yapo", 0.0): 0.5}
    lm = load_language_model(config.model)
    cache = CompletionCache(path.with_suffix(".other.json"), lm, small_study.LAYER, config.model.batch_size)
    answerer = Answerer(prompt_format(config), config.generation, cache, get_judge(config.judge))
    items = read_items(config, "egypt")
    asked = items.query("split == 'validation' and variant == 'nonlocalized'")
    texts = OwnAnswers.of(answerer, asked, "open_ended").texts
    written = complete(lm, small_study.LAYER, answerer.token_ids(asked, "open_ended"), [Condition()], 24)[0]
    assert [lm.tokenizer.decode(text.answers[0]) for text in texts] == [lm.tokenizer.decode(ids) for ids in written]
    reader = VectorReader(config, lm, small_study.LAYER)
    for method in config.methods:
        vector = reader.read("arabic", "egypt", method, "open_ended", "nonlocalized")
        assert multipliers.loc[(method, 0.0), "multiplier"] == vector.multiplier
        for level in (0.0, 0.5):
            one = multipliers.loc[(method, level)]
            values = torch.cat([plain(lm, text, vector.at(one["multiplier"]), small_study.LAYER) for text in texts])
            assert float(values.quantile(0.95)) == pytest.approx(one["divergence"], rel=1e-3, abs=1e-5)
        assert multipliers.loc[(method, 0.5), "divergence"] == pytest.approx(0.5, rel=TOLERANCE)
        steered = rows[(rows["method"] == method) & (rows["level"] == 0.5)].reset_index(drop=True)
        tested = items.query("split == 'test' and variant == 'nonlocalized'").reset_index(drop=True)
        assert steered["question_id"].tolist() == tested["question_id"].tolist()
        (own,) = answerer.ask(tested, "open_ended", [vector.at(steered["multiplier"].iloc[0])])
        assert steered["score"].tolist() == pytest.approx(own["score"].tolist())
    assert set(rows.loc[rows["level"] == 0.0, "method"]) == {"baseline", "prompt", "random", "caa", "yapo"}
    same_again(run.main, config, path, found)
    finding = reported(report.main, compose(overrides), "equal_kl")
    assert finding.tables[:2] == ("equal_kl", "summary_kl_0.5")
    assert "λ such that it is 0.5 nats: Random" in finding.reading


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ("[]", r"studies.equal_kl.levels=\[\]: name at least one"),
        ("[0.0]", "studies.equal_kl.levels=0.0: above 0 and up to 20 nats"),
        ("[1.0,1.0]", r"studies.equal_kl.levels=\[1.0, 1.0\]: name each once"),
        ("[50]", "studies.equal_kl.levels=50"),
    ],
)
def test_impossible_levels_are_refused_when_they_are_read(levels: str, said: str) -> None:
    with pytest.raises(YapoError, match=said):
        compose([f"studies.equal_kl.levels={levels}"])


def test_controls_that_change_the_prompt_stand_beside_every_level() -> None:
    methods = ["baseline", "prompt", "few_shot_3", "system_mild", "random", "caa"]
    rows = pd.DataFrame([{"method": method, "level": 0.0} for method in methods] + [{"method": "caa", "level": 1.0}])
    assert rows_at(rows, 1.0)["method"].tolist() == ["baseline", "prompt", "few_shot_3", "system_mild", "caa"]
    assert rows_at(rows, 0.0)["method"].tolist() == methods


def test_an_adapter_has_a_gain_at_its_own_multiplier_alone() -> None:
    rows = pd.concat([ROWS, rows_of({("lora_sft", 0.0): [[9.0, 9.0], [8.0, 8.0]]})], ignore_index=True)
    data = gain_cells(rows, MULTIPLIERS, OPTIONS)
    (values,) = report.finding_values(data, [1.0])
    assert ("lora_sft" in str(values["chosen"]), "lora_sft" in str(values["divergences"])) == (True, False)
    _, equal, _ = overview(data, 1.0).axes
    assert [text.get_text() for text in equal.texts if text.get_text().startswith("not ")] == ["not reached", "not measured"]
