"""The studies that train vectors of their own, on a few facts of one country and the embedded model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.stages import small_study
from yapo.errors import YapoError
from yapo.stages import prepare
from yapo.stages.app import compose
from yapo.stages.study import Study
from yapo.stages.study_methods import check_methods
from yapo.stages.trainings import TrainingSetup, read_trainings
from yapo.steering.interventions import Dense
from yapo.steering.objective import measure_pairs
from yapo.steering.training.train_sets import TrainSet
from yapo.studies.ablations import report as ablations_table
from yapo.studies.ablations import run as ablations
from yapo.studies.ablations import train_sae as ablations_sae
from yapo.studies.convergence import report as convergence_table
from yapo.studies.convergence import run as convergence
from yapo.studies.registry import STUDIES
from yapo.studies.transfer import left_out as transfer_left_out
from yapo.studies.transfer import run as transfer

FACTS = {"train": 3, "validation": 2, "test": 1}
ITEMS = 4  # validation items: two facts, two phrasings


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("trainings") / "results"
    made = [part for part in small_study.make(folder, ("egypt",), FACTS, ("nonlocalized",)) if not part.startswith("methods=")]
    own = ["countries=[egypt]", "country=egypt", "tasks=[open_ended]", "methods=[bipo,yapo]", "report.resamples=100"]
    own += [f"studies.{study}.countries=[egypt]" for study in ("convergence", "ablations")]
    own += ["studies.convergence.seeds=[0,1]", "studies.convergence.learning_rates=[0.01,0.02]", "studies.convergence.window=2"]
    own += ["studies.convergence.epochs=3", "studies.convergence.answered_epochs=2", "studies.ablations.seeds=[0,1]"]
    own += ["studies.convergence.train_facts=2"]
    own += ["train.epochs=2", "train.warmup_steps=1"]
    made = [part for part in made if not part.startswith("countries=")] + own
    prepare.main(compose(made))
    return made


@pytest.fixture(scope="module")
def curves(overrides: list[str]) -> pd.DataFrame:
    for method in ("bipo", "yapo"):
        convergence.main(compose([*overrides, f"method={method}"]))
    return read_trainings(compose(overrides), "convergence", ["egypt"], ["bipo", "yapo"])


def test_steps_epochs_and_answers_of_every_run(curves: pd.DataFrame) -> None:
    for _, run in curves.groupby(["method", "lr", "seed"]):
        steps = run[run["kind"] == "step"]
        assert steps["step"].tolist() == [1, 2, 3, 4, 5, 6]  # six pairs in batches of four, three epochs
        assert steps[["loss", "displacement", "d"]].notna().all(axis=None)
        epochs = run[run["kind"] == "epoch"]
        assert epochs["step"].tolist() == [2, 4, 6]
        assert epochs[["validation_loss", "validation_loss_reversed", "displacement", "l0"]].notna().all(axis=None)
        answers = run[run["kind"] == "answer"]
        sizes = {("train", 1, 2): 2, ("train", 3, 6): 2, ("validation", 1, 2): ITEMS, ("validation", 3, 6): ITEMS}
        assert answers.groupby(["split", "epoch", "step"]).size().to_dict() == sizes
        moved = epochs.set_index("epoch")["displacement"]  # an answer stands at the displacement of its epoch's vector
        assert (answers["displacement"] == answers["epoch"].map(moved)).all()
        assert (answers["displacement"] > 0).all()
    assert len(curves.groupby(["method", "lr", "seed"])) == 8


def test_the_unsteered_model_answers_once(curves: pd.DataFrame) -> None:
    """Not once per seed, which would count its answers several times."""
    start = curves[(curves["kind"] == "answer") & (curves["epoch"] == 0)]
    assert set(start.groupby(["method", "lr", "split"]).size().to_dict().values()) == {2, ITEMS}
    assert start["seed"].isna().all()
    assert (start["displacement"] == 0).all()


def test_training_questions_are_the_same_for_all_and_trained_on(curves: pd.DataFrame, overrides: list[str]) -> None:
    split = pd.read_parquet(Study.of(compose(overrides)).split).set_index("question_id")["split"]
    answers = curves[(curves["kind"] == "answer") & (curves["split"] == "train")]
    assert set(answers["question_id"].map(split)) == {"train"}
    asked = answers.groupby(["method", "lr", "epoch", "seed"], dropna=False)[["question_id", "phrasing"]].apply(
        lambda run: tuple(sorted(run.itertuples(index=False, name=None)))
    )
    assert asked.nunique() == 1
    assert answers["question_id"].nunique() == 2


@pytest.mark.usefixtures("curves")
def test_training_questions_can_be_left_out(overrides: list[str]) -> None:
    path = Study.of(compose(overrides)).of_study("convergence_yapo", "arabic", "egypt")
    kept = path.read_bytes()
    convergence.main(compose([*overrides, "method=yapo", "studies.convergence.train_facts=0"]))
    rows = pd.read_parquet(path)
    assert set(rows.loc[rows["kind"] == "answer", "split"]) == {"validation"}
    path.write_bytes(kept)


def test_seeds_are_paired_over_methods_and_rates(curves: pd.DataFrame) -> None:
    """The same seed gives the same directions, so that runs differ in the method or the rate alone."""
    steps = curves[curves["kind"] == "step"]
    by_seed = steps.groupby(["seed", "step"])["d"]
    assert (by_seed.nunique() == 1).all()
    first = steps[steps["step"] == 1]
    assert first.groupby(["method", "seed"])["loss"].nunique().max() == 1  # at step 1 every vector is zero


@pytest.mark.usefixtures("curves")
def test_a_rerun_writes_the_same_bytes(overrides: list[str]) -> None:
    path = Study.of(compose(overrides)).of_study("convergence_yapo", "arabic", "egypt")
    before = path.read_bytes()
    convergence.main(compose([*overrides, "method=yapo"]))
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.checkpoint.safetensors"))


@pytest.mark.usefixtures("curves")
def test_convergence_table_figure_and_finding(overrides: list[str]) -> None:
    config = compose(overrides)
    convergence_table.main(config)
    root = Study.of(config).root
    assert all((root / "tables" / f"convergence.{kind}").stat().st_size for kind in ("csv", "md", "tex", "html"))
    assert all((root / "figures" / f"convergence.{kind}").stat().st_size for kind in ("svg", "png"))
    assert json.loads((root / "studies" / "convergence.json").read_text())["figures"] == ["convergence"]


@pytest.fixture(scope="module")
def ablated(overrides: list[str]) -> pd.DataFrame:
    """With the variants of the smoke experiment, and an autoencoder of 64 features."""
    for method in ("bipo", "yapo"):
        config = compose([*overrides, f"method={method}"])
        kept = ("one_directional", "all_features", "start_random_all_features", "beta_0.5")
        own = {"sae.train.width": 64, "sae.train.k": 8, "sae.train.steps": 20, "sae.train.warmup_steps": 2}
        own |= {"sae.train.decay_steps": 10, "sae.train.batch_size": 64, "sae.train.max_tokens": 3000}
        variants = {name: changes for name, changes in config.studies.ablations.variants.items() if name in kept}
        config.studies.ablations.variants = {**variants, "narrow": own}
        if method == "bipo":
            ablations_sae.main(config)
        ablations.main(config)
        if method == "yapo":
            ablations_table.main(config)
    return read_trainings(compose(overrides), "ablations", ["egypt"], ["bipo", "yapo"])


def test_every_variant_answers_both_ways(ablated: pd.DataFrame) -> None:
    changes = {method: set(rows["change"]) for method, rows in ablated.groupby("method")}
    assert changes["bipo"] == {"unsteered", "default", "one_directional", "beta_0.5"}
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
    root = Study.of(compose(overrides)).root
    assert "Narrow" in (root / "tables" / "ablations.md").read_text()
    assert (root / "figures" / "ablations.svg").stat().st_size
    assert (root / "studies" / "ablations" / "narrow" / "quality.json").exists()
    assert "same vector up to rounding: all features" in json.loads((root / "studies" / "ablations.json").read_text())["reading"]


def test_losses_use_the_experiment_s_beta(overrides: list[str]) -> None:
    """Against -log σ(dβm) of the margins themselves, both ways."""
    config = compose([*overrides, "method=bipo", "train.beta=0.4"])
    cell = TrainingSetup.open(config, "ablations_bipo").cell("open_ended", "nonlocalized")
    assert isinstance(cell.part, TrainSet)
    v = torch.randn(cell.setup.lm.d_model, generator=torch.Generator().manual_seed(0))
    edit, rows = Dense(cell.setup.lm.d_model), cell.part.validation
    for multiplier in (1.0, -1.0):
        margins, _ = measure_pairs(cell.setup.lm, cell.setup.layer, edit, cell.prepared.store, rows, multiplier * v, False, 64)
        expected = torch.log1p(torch.exp(-multiplier * 0.4 * margins))
        np.testing.assert_allclose(cell.measure(edit, v, multiplier)["loss"], expected, rtol=1e-5)


def test_a_method_without_steps_is_refused(overrides: list[str]) -> None:
    with pytest.raises(YapoError, match="method=caa: is not trained in steps"):
        convergence.main(compose([*overrides, "method=caa"]))


@pytest.mark.parametrize(
    ("stage", "override", "message"),
    [
        (
            convergence,
            "convergence.methods=[yapo,dspa]",
            "convergence.methods=dspa: is not trained in steps; .* choose among bipo, yapo$",
        ),
        (convergence, "convergence.methods=[yapoo,yapo]", "convergence.methods=yapoo: unknown method; did you mean yapo?"),
        (
            ablations,
            "ablations.methods=[caa]",
            "ablations.methods=caa: is not trained in steps; leave it out, or choose among bipo, yapo$",
        ),
        (transfer, "transfer.left_out_methods=[capo]", "transfer.left_out_methods=capo: unknown method"),
        (
            transfer_left_out,
            "transfer.left_out_methods=[caa,dspa]",
            "transfer.left_out_methods=dspa: has no vector that learns from pairs",
        ),
    ],
)
def test_a_method_that_a_study_cannot_train_is_refused_before_anything_is_read(stage: Any, override: str, message: str) -> None:
    with pytest.raises(YapoError, match=rf"^studies\.{message}"):
        stage.main(compose(["results=nowhere", "methods=[yapo]", f"studies.{override}"]))


def test_a_study_may_name_methods_that_the_experiment_lacks() -> None:
    for study in STUDIES:
        check_methods(compose(["methods=[yapo,dspa]"]), study)


def test_a_study_of_one_method_needs_it() -> None:
    with pytest.raises(YapoError, match=r"^methods=\[caa,yapo\]: dspa_study changes what dspa does; add dspa, or leave"):
        check_methods(compose(["methods=[caa,yapo]"]), "dspa_study")


@pytest.mark.parametrize(("key", "countries", "methods"), [("countries", ["nepal"], ["yapo"]), ("methods", ["egypt"], ["caa"])])
def test_nothing_of_the_experiment(overrides: list[str], key: str, countries: list[str], methods: list[str]) -> None:
    with pytest.raises(YapoError, match=rf"studies.ablations.{key}=\['.*'\]: none of them is in this experiment"):
        read_trainings(compose(overrides), "ablations", countries, methods)


def test_pairs_of_another_preparation_are_refused(overrides: list[str]) -> None:
    config = compose([*overrides, "method=bipo"])
    setup = TrainingSetup.open(config, "convergence_bipo")
    path = Study.of(config).pairs("arabic", "egypt", "open_ended")
    kept = path.read_bytes()
    pd.read_parquet(path).assign(phrasing=9).to_parquet(path)
    with pytest.raises(YapoError, match="not the pairs whose activations were kept; run the stage prepare again"):
        setup.cell("open_ended", "nonlocalized")
    path.write_bytes(kept)
