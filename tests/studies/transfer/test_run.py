"""Transfer between countries on the embedded model: made-up vectors on the matrix, trained ones where a country is left out."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.evaluation.plain_decoding import complete
from tests.stages import small_study
from tests.studies.one_country import reported, same_again
from yapo.config import Config
from yapo.config.compose import compose
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages import prepare
from yapo.stages.country_answers import COLUMNS
from yapo.stages.inputs import prompt_format, read_items, read_sae
from yapo.stages.pairs import PreparedPairs, fit_inputs, models_of
from yapo.stages.vectors import VectorReader
from yapo.steering.activations import ActivationStore
from yapo.steering.methods import get_method
from yapo.steering.training.train_sets import train_sets
from yapo.studies.transfer import left_out, report, run

FACTS = {"train": 3, "validation": 2, "test": 3}
OWN = [
    "settings=[nonlocalized]",
    "tasks=[open_ended]",
    "studies.transfer.countries=[egypt,morocco,nepal]",
    "studies.transfer.cross_language_facts=2",
    "studies.transfer.left_out_methods=[caa]",
    "selection.multipliers=[1.0,2.0]",
    "train.epochs=1",
    "train.warmup_steps=1",
    "report.resamples=100",
]
COUNTRIES = {"egypt": "arabic", "morocco": "arabic", "nepal": "hindi"}


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study up to its test answers (those of the prompt control are read from them)."""
    made = small_study.make(tmp_path_factory.mktemp("transfer") / "results", tuple(COUNTRIES), FACTS, ("nonlocalized",))
    overrides = [*made, *OWN]
    for country, language in COUNTRIES.items():
        config = compose([*overrides, f"country={country}"])
        paths = Paths.of(config)
        if country != "nepal":
            prepare.main(config)
        items = read_items(config, country)
        test = items[(items["split"] == "test") & (items["variant"] == "nonlocalized")]
        rows = test.assign(method="prompt", task="open_ended", setting="nonlocalized", score=10.0, parsed=True, exact=True)
        paths.evaluation(language, country).parent.mkdir(parents=True, exist_ok=True)
        rows.assign(completion=rows["answer"], multiplier=0.0, epoch=0)[COLUMNS].to_parquet(
            paths.evaluation(language, country), index=False
        )
    return overrides


@pytest.fixture(scope="module")
def config(overrides: list[str]) -> Config:
    for country, method in (("egypt", "caa"), ("nepal", "caa")):
        left_out.main(compose([*overrides, f"country={country}", f"method={method}"]))
    return compose([*overrides, "country=egypt"])


@pytest.fixture(scope="module")
def rows(config: Config) -> pd.DataFrame:
    run.main(config)
    return pd.read_parquet(Paths.of(config).study_rows("transfer", "arabic", "egypt"))


def test_every_source_answers_the_test_items_and_foreign_ones_a_sample(rows: pd.DataFrame, config: Config) -> None:
    split = pd.read_parquet(Paths.of(config).split).set_index("question_id")["split"]
    assert set(rows["question_id"].map(split)) == {"test"}
    sources = rows.groupby(["method", "relation", "source"])["question_id"].nunique()
    expected = {("baseline", "none", ""): 3, ("prompt", "prompt", ""): 3, ("caa", "left out", ""): 3}
    for method in small_study.METHODS:
        expected |= {
            (method, "own", "egypt"): 3,
            (method, "same language", "morocco"): 3,
            (method, "other languages", "nepal"): 2,
        }
    assert sources.to_dict() == expected
    assert not rows.duplicated(["method", "relation", "source", "question_id", "variant", "phrasing"]).any()


def test_changes_are_from_the_same_item_unsteered(rows: pd.DataFrame) -> None:
    keys = ["question_id", "variant", "phrasing"]
    base = rows[rows["method"] == "baseline"].set_index(keys)["score"]
    before = base.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    assert (rows["change"].to_numpy() == rows["score"].to_numpy() - before).all()
    assert rows.loc[rows["method"] != "baseline", "change"].abs().max() > 0


def test_answers_are_those_of_the_source_vector(rows: pd.DataFrame, config: Config) -> None:
    lm = load_language_model(config.model)
    reader = VectorReader(config, lm, small_study.LAYER)
    items = read_items(config, "egypt")
    theirs = read_items(config, "morocco").set_index(["question_id", "variant", "phrasing"])["answer"]
    vector = reader.read("arabic", "morocco", "caa", "open_ended", "nonlocalized")
    own = rows[(rows["source"] == "morocco") & (rows["method"] == "caa")]
    asked = own.merge(items, on=["question_id", "variant", "phrasing"], suffixes=("", "_item"))
    ids = [lm.tokenizer.prompt(text) for text in prompt_format(config).prompts("open_ended", asked)]
    texts = [lm.tokenizer.decode(t) for t in complete(lm, small_study.LAYER, ids, [vector.chosen], 24)[0]]
    place = list(asked[["question_id", "variant", "phrasing"]].itertuples(index=False, name=None))
    assert own["exact"].tolist() == [text == answer for text, answer in zip(texts, asked["answer"], strict=True)]
    assert own["adopted"].tolist() == [float(text == theirs[key]) for text, key in zip(texts, place, strict=True)]
    assert (own["multiplier"] == 0.5).all()
    assert rows.loc[rows["source"] == "nepal", "adopted"].isna().all()


def test_left_out_vectors_have_not_seen_the_country(config: Config, rows: pd.DataFrame) -> None:
    """Egypt's is CAA of Morocco alone, at the λ that is best on Morocco's validation items."""
    paths = Paths.of(config)
    store, _ = ActivationStore.load(paths.store("arabic", "morocco", "open_ended"))
    pairs = read_table(paths.pairs("arabic", "morocco", "open_ended"))
    caa = compose([f"results={config.results}", *small_study.OVERRIDES, *OWN, "method=caa"])
    sets, sae = train_sets(pairs, ["nonlocalized"]), read_sae(config, small_study.LAYER, 96)
    prepared = PreparedPairs(store, pairs, "", "")
    groups = (caa.method, caa.train, caa.prompts)
    inputs = fit_inputs(
        prepared, sets, small_study.LAYER, sae, models_of(config), *groups, log=print, checkpoint=paths.root / "unused", extra={}
    )
    expected = get_method("caa").fit(inputs)["nonlocalized"].epochs
    found = left_out.read_left_out(paths, "arabic", "caa", "egypt", "open_ended")
    assert torch.equal(found.epochs, expected)
    assert found.info.extra["pool"] == ["morocco"]
    own = rows[rows["relation"] == "left out"]
    assert own["multiplier"].nunique() == 1
    assert set(own["multiplier"]) <= {1.0, 2.0}


def test_a_language_with_one_country_has_none(config: Config) -> None:
    assert left_out.left_out_path(Paths.of(config), "hindi", "caa").exists()
    with pytest.raises(YapoError, match=r"has no vector nepal/open_ended; run `python -m yapo.studies.transfer.left_out`"):
        left_out.read_left_out(Paths.of(config), "hindi", "caa", "nepal", "open_ended")


@pytest.mark.slow
def test_again_gives_the_same_bytes_and_the_rest_of_the_study(config: Config, rows: pd.DataFrame, overrides: list[str]) -> None:
    assert len(rows)
    paths = Paths.of(config)
    path = paths.study_rows("transfer", "arabic", "egypt")
    same_again(run.main, config, path)
    finding = reported(report.main, compose([*overrides, "countries=[egypt]"]), "transfer")
    assert len(finding.figures) == 6
    assert (finding.tables, finding.pages) == (("transfer",), ("tables/transfer_pairs.html",))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["country=ksa", "countries=[egypt,ksa]"], "left_out/caa.safetensors: has no vector ksa/open_ended; run"),
        (["countries=[egypt,morocco,ksa]"], "^caa without egypt: made of morocco, but this study has ksa, morocco; run"),
        (["studies.transfer.setting=both"], r"^studies\.transfer\.setting=both: unknown setting"),
    ],
)
def test_bad_input_is_named(overrides: list[str], override: list[str], message: str) -> None:
    keys = {item.partition("=")[0] for item in override}
    kept = [item for item in overrides if item.partition("=")[0] not in keys]
    if "countries" in keys:  # the study's own, which must not narrow it
        kept = [item for item in kept if not item.startswith("studies.transfer.countries")]
    with pytest.raises(YapoError, match=message):
        run.main(compose([*kept, "country=egypt", *override] if "country" not in keys else [*kept, *override]))


def test_a_method_without_a_vector_cannot_be_pooled(overrides: list[str]) -> None:
    with pytest.raises(YapoError, match=r"^studies\.transfer\.left_out_methods=dspa: has no vector that learns from pairs"):
        left_out.main(compose([*overrides, "country=egypt", "method=dspa"]))


def test_sampled_facts_are_the_same_for_all_countries(overrides: list[str]) -> None:
    config = compose(overrides)
    egypt, nepal = (read_items(config, country) for country in ("egypt", "nepal"))
    shuffled = nepal.sample(frac=1, random_state=0)
    assert run.sampled_facts(egypt, 2, 0) == run.sampled_facts(shuffled, 2, 0)
    assert len(run.sampled_facts(egypt, 2, 0)) == 2
    assert run.sampled_facts(egypt, None, 0) == run.sampled_facts(egypt, 99, 0) == sorted(set(egypt["question_id"]))
    assert len({tuple(run.sampled_facts(egypt, 2, seed)) for seed in range(5)}) > 1
