"""The ablations: variants, numbers, table and figure from known rows, and the study of a few facts on the embedded model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from yapo.config import SaeTrainConfig
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.paths import Paths
from yapo.reporting.finding import Finding, render_blocks
from yapo.reporting.tables import TableOptions
from yapo.steering.interventions import Dense
from yapo.steering.objective import measure_pairs
from yapo.studies.ablations import AblationsConfig, report, run, train_sae
from yapo.studies.ablations.report import ablation_cells, ablation_table, ablations_figure, finding_values
from yapo.studies.ablations.variants import DEFAULT, autoencoders_of, variants_of
from yapo.studies.registry import StudiesConfig
from yapo.studies.trainings import TrainingSetup
from yapo.studies.write_report import read_rows


def changed(method: str, variants: dict[str, Any]) -> Any:
    config = compose([f"method={method}"])
    return replace(config, studies=replace(config.studies, ablations=AblationsConfig(variants=variants)))


VARIANTS = {
    "sharp": {"train.beta": 0.5, "train.directions": "positive"},
    "jump": {"method.options.threshold": "jumprelu"},
    "narrow": {"sae.train.width": 64, "sae.train.k": 8},
    "dropped": None,
}


def test_one_change_at_a_time() -> None:
    config = changed("yapo", VARIANTS)
    base, sharp, jump, narrow = variants_of(config)
    assert [v.name for v in (base, sharp, jump, narrow)] == [DEFAULT, "sharp", "jump", "narrow"]
    assert (base.train, base.options, base.sae) == (config.train, config.method.options, None)
    assert sharp.train == replace(config.train, beta=0.5, directions="positive")
    assert (jump.train, jump.options) == (config.train, {**config.method.options, "threshold": "jumprelu"})
    assert narrow.sae == SaeTrainConfig(width=64, k=8)
    assert autoencoders_of(config) == {"narrow": SaeTrainConfig(width=64, k=8)}


def test_a_method_takes_the_variants_whose_settings_it_has() -> None:
    assert [variant.name for variant in variants_of(changed("bipo", VARIANTS))] == [DEFAULT, "sharp"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"x": {"train.lrr": 1}}, "studies.ablations.variants.x=train.lrr: unknown setting of a variant; did you mean train.lr?"),
        ({"x": {"model.dtype": "float16"}}, "studies.ablations.variants.x=model.dtype: unknown setting of a variant"),
        ({"x": {}}, "studies.ablations.variants.x={}: give settings and values"),
        ({"x": 3}, "studies.ablations.variants.x=3: give settings and values"),
        ({"a/b": {"train.lr": 1}}, "studies.ablations.variants.a/b={'train.lr': 1}: a name of letters"),
        ({"default": {"train.lr": 1}}, "choose another name"),
    ],
)
def test_refused_with_the_configuration(variants: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        AblationsConfig(variants=variants)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"x": {"train.beta": -1}}, "studies.ablations.variants.x: train.beta=-1.0: a positive number"),
        ({"x": {"train.lr": "fast"}}, "studies.ablations.variants.x: lr=fast: must be a number"),
        ({"x": {"sae.train.k": 0}}, "studies.ablations.variants.x: sae.train.k=0: at least 1"),
        (
            {"x": {"method.options.treshold": "relu"}},
            "studies.ablations.variants.x=method.options.treshold: unknown method option; did you mean method.options.threshold?",
        ),
    ],
)
def test_refused_before_anything_runs(variants: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        variants_of(changed("yapo", variants))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seeds", [], "studies.ablations.seeds=[]: give at least one"),
        ("seeds", [1, 1], "studies.ablations.seeds=[1, 1]: name each once"),
        ("tasks", ["quiz"], "studies.ablations.tasks=quiz: choose one of"),
        ("setting", "everywhere", "studies.ablations.setting=everywhere: choose one of"),
        ("methods", [], "studies.ablations.methods=[]: name at least one"),
    ],
)
def test_impossible_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(YapoError) as caught:
        StudiesConfig(ablations=AblationsConfig(**{key: value}))
    assert message in str(caught.value)


OPTIONS = TableOptions(resamples=200, note="a note")
# Facts answered right of four, forwards and backwards; distance of the vector from the default one.
RIGHT = {"default": (3, 0, 0.0), "worse": (0, 0, 0.8), "one_way": (3, 4, 0.5), "same": (3, 0, 1e-6)}


def rows(task: str = "mcq", right: dict[str, tuple[int, int, float]] = RIGHT, facts: int = 4, unsteered: int = 1) -> pd.DataFrame:
    made = []
    for method in ("bipo", "yapo"):
        for country in ("egypt", "nepal"):
            for fact in range(facts):
                unit = 1.0 if task == "mcq" else 10.0
                place = {"task": task, "method": method, "country": country, "question_id": f"f{fact}", "parsed": True}
                made.append({**place, "change": "unsteered", "multiplier": 0.0, "score": unit * (fact < unsteered)})
                for change, (up, down, apart) in right.items():
                    if method == "bipo" and change == "same":
                        continue
                    for seed in (0, 1):
                        size = {"change": change, "seed": seed, "l0": 96, "difference": apart, "displacement": 5.0}
                        if method == "yapo":
                            size |= {"explained_variance": 0.9, "sae_l0": 30.0}
                        for multiplier, n in ((1.0, up), (-1.0, down)):
                            loss = 0.3 if change == "default" else 0.5
                            made.append({**place, **size, "multiplier": multiplier, "score": unit * (fact < n), "loss": loss})
    return pd.DataFrame(made)


def test_differences_from_the_default_over_the_same_facts() -> None:
    cells = ablation_cells(rows(), OPTIONS).set_index(["method", "change", "measure"])
    worse = cells.loc[("yapo", "worse", "score")]
    assert worse[["value", "change_value"]].tolist() == [0.0, -75.0]
    assert worse["change_high"] < 0
    assert worse[["n", "n_facts", "seeds"]].tolist() == [16, 4, 2]
    assert cells.loc[("yapo", "one_way", "score_reversed"), ["value", "change_value"]].tolist() == [100.0, 100.0]
    same = cells.loc[("yapo", "same", "score")]
    assert same[["change_value", "change_low", "change_high"]].tolist() == [0.0, 0.0, 0.0]
    assert cells.loc[("bipo", "worse", "loss"), "change_value"] == pytest.approx(0.2)
    assert cells.loc[("yapo", "unsteered", "score"), "value"] == 25.0
    assert ("yapo", "unsteered", "loss") not in cells.index


def test_the_table_has_every_variant_of_every_method() -> None:
    text = ablation_table(ablation_cells(rows(), OPTIONS), 2, {"worse": "train.beta=9"}, "nonlocalized", OPTIONS).texts["md"]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    names = [line.split("|")[2].strip() for line in lines[2:]]
    assert names == ["Unsteered", "Default", "Worse", "One way", "Unsteered", "Default", "Worse", "One way", "Same"]
    same = lines[-1]
    assert same.startswith("|  | Same | 75.0 [")
    assert "| +0.0 [+0.0, +0.0] |" in same
    assert "| 1e-06 | 0.900, L0 30.0 | 16 (4 facts) |" in same
    assert "Worse: train.beta=9" in text
    cells = ablation_cells(rows("open_ended"), OPTIONS)
    assert "7.50" in ablation_table(cells, 2, {}, "both", OPTIONS).texts["md"]


def reading(right: dict[str, tuple[int, int, float]] = RIGHT, facts: int = 4, unsteered: int = 1) -> str:
    cells = ablation_cells(rows("mcq", right, facts, unsteered), OPTIONS)
    return render_blocks(report.FINDING, **finding_values(cells))["reading"]


def test_the_finding_lists_changes_whose_interval_excludes_0() -> None:
    text = reading()
    assert "Each variant with 2 seeds" in text
    assert "YaPO, multiple choice: unsteered 25.0; default at λ = 1 75.0 (+50.0 [" in text
    assert "at λ = −1 0.0 (−25.0 [" in text
    assert "Score at λ = 1: worse −75.0 [" in text
    assert "Score at λ = −1: one way +100.0 [" in text
    assert text.count("The same vector up to rounding: same.") == 1
    assert "Score at λ = 1: no change.\nScore at λ = −1: no change." in reading({"default": (4, 4, 0.0)})
    # Many resamples hold nothing of the one fact gained.
    assert "default at λ = 1 58.3 (+8.3 [+0.0, +" in reading({"default": (7, 0, 0.0)}, 12, 6)


def test_countries_count_once_whatever_the_number_of_questions() -> None:
    made = rows()
    more = made[made["country"] == "egypt"].assign(score=0.0, l0=200)
    both = pd.concat([made, *[more.assign(question_id=f"{place}" + more["question_id"]) for place in range(3)]])
    cells = ablation_cells(both, OPTIONS).set_index(["method", "change", "measure"])
    # Egypt: 3 of 16 facts, Nepal: 3 of 4.
    assert cells.loc[("yapo", "default", "score"), "value"] == pytest.approx(100 * (3 / 16 + 3 / 4) / 2)
    assert cells.loc[("yapo", "default", "score"), "l0"] == pytest.approx(((96 + 3 * 200) / 4 + 96) / 2)


def test_a_dot_for_every_variant_that_a_method_has() -> None:
    figure = ablations_figure(ablation_cells(rows(), OPTIONS), "a note")
    score = figure.axes[0]
    assert [text.get_text() for text in score.get_yticklabels()] == ["Worse", "One way", "Same"]
    dots = [line for line in score.lines if line.get_linestyle() == "None"]
    assert sorted(float(line.get_xdata()[0]) for line in dots) == [-75.0, -75.0, 0.0, 0.0, 0.0]  # type: ignore[index]


ITEMS = 4  # validation items: two facts, two phrasings


@pytest.fixture(scope="module")
def overrides(training_overrides: list[str]) -> list[str]:
    return [*training_overrides, "studies.ablations.countries=[egypt]", "studies.ablations.seeds=[0,1]"]


@pytest.fixture(scope="module")
def ablated(overrides: list[str]) -> pd.DataFrame:
    """With the variants of the smoke experiment, and an autoencoder of 64 features."""
    for method in ("bipo", "yapo"):
        config = compose([*overrides, f"method={method}"])
        kept = ("one_directional", "all_features", "start_random_all_features")
        own = {"sae.train.width": 64, "sae.train.k": 8, "sae.train.steps": 20, "sae.train.warmup_steps": 2}
        own |= {"sae.train.decay_steps": 10, "sae.train.batch_size": 64, "sae.train.max_tokens": 3000}
        variants = {name: changes for name, changes in config.studies.ablations.variants.items() if name in kept}
        config.studies.ablations.variants = {**variants, "narrow": own}
        if method == "bipo":
            train_sae.main(config)
        run.main(config)
        if method == "yapo":
            report.main(config)
    return read_rows(compose(overrides), "ablations")


def test_every_variant_answers_both_ways(ablated: pd.DataFrame) -> None:
    changes = {method: set(rows["change"]) for method, rows in ablated.groupby("method")}
    assert changes["bipo"] == {"unsteered", "default", "one_directional"}
    assert changes["yapo"] == changes["bipo"] | {"all_features", "start_random_all_features", "narrow"}
    steered = ablated[ablated["change"] != "unsteered"]
    assert steered.groupby(["method", "change", "seed", "multiplier"]).size().unique().tolist() == [ITEMS]
    assert set(steered["multiplier"]) == {-1.0, 1.0}
    assert steered[["score", "loss", "displacement", "l0"]].notna().all(axis=None)


def test_training_on_all_features_gives_the_same_vector(ablated: pd.DataFrame) -> None:
    apart = ablated.groupby(["method", "change"])["difference"].max()
    assert apart["yapo", "default"] == 0
    assert apart["yapo", "all_features"] < 1e-4
    assert apart["yapo", "start_random_all_features"] > 0.01
    l0 = ablated.groupby(["method", "change"])["l0"].max()
    assert l0["yapo", "all_features"] == l0["yapo", "default"] < l0["yapo", "start_random_all_features"]
    assert l0["yapo", "narrow"] <= 64
    assert np.isnan(apart["yapo", "narrow"])


@pytest.mark.usefixtures("ablated")
def test_ablations_table_figure_and_finding(overrides: list[str]) -> None:
    root = Paths.of(compose(overrides)).root
    assert "Narrow" in (root / "tables" / "ablations.md").read_text()
    assert (root / "figures" / "ablations.svg").stat().st_size
    assert (root / "studies" / "ablations" / "narrow" / "quality.json").exists()
    assert "same vector up to rounding: all features" in Finding.load(root / "studies" / "ablations.json").reading


def test_losses_use_the_experiment_s_beta(overrides: list[str]) -> None:
    """Against -log σ(dβm) of the margins themselves, both ways."""
    config = compose([*overrides, "method=bipo", "train.beta=0.4"])
    training = TrainingSetup.of_method(config, "ablations_bipo").training("open_ended", "nonlocalized")
    v = torch.randn(training.setup.lm.d_model, generator=torch.Generator().manual_seed(0))
    edit, rows = Dense(training.setup.lm.d_model), training.part.validation
    for multiplier in (1.0, -1.0):
        margins, _ = measure_pairs(
            training.setup.lm, training.setup.layer, edit, training.prepared.store, rows, multiplier * v, False, 64
        )
        expected = torch.log1p(torch.exp(-multiplier * 0.4 * margins))
        np.testing.assert_allclose(training.measure(edit, v, multiplier)["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(("key", "setting"), [("countries", "countries=[nepal]"), ("methods", "methods=[yapo]")])
def test_nothing_of_the_experiment(overrides: list[str], key: str, setting: str) -> None:
    config = compose([*overrides, "methods=[bipo]", f"studies.ablations.{setting}"])
    with pytest.raises(YapoError, match=rf"studies.ablations.{key}=\['.*'\]: none of them is in this experiment"):
        read_rows(config, "ablations")
