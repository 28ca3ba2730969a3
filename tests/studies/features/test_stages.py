"""The stages of the features study, run for real on the embedded model: two countries, hand-made vectors."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from yapo.config import Config, PromptConfig
from yapo.config.compose import compose
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.errors import YapoError
from yapo.files import write_json, write_parquet
from yapo.models.language_model import load_language_model
from yapo.models.sae import load_sae
from yapo.paths import Paths
from yapo.reporting.finding import Finding
from yapo.steering.activations import ActivationStore
from yapo.steering.methods.dspa.map import ConditionalMap, Entries, MapInfo
from yapo.steering.prepare import prepare
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.studies.checks import of_kind
from yapo.studies.features import report as features_table
from yapo.studies.features import run as features
from yapo.studies.features.effects import Texts

COUNTRIES = {"egypt": "arabic", "nepal": "hindi"}
LAYER = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A study of twelve facts, of which ten are in use, with everything that the stages read."""
    results = tmp_path_factory.mktemp("features")
    config = compose(
        [
            "experiment=smoke", f"results={results}", "tasks=[open_ended]", "settings=[both,localized]", "methods=[bipo,yapo]",
            "studies.features.top=6", "studies.features.examples=4", "report.resamples=100",
        ]
    )  # fmt: skip
    paths = Paths.of(config)
    items = load_items(config.data)
    facts = sorted(set(items["question_id"]))[:12]
    items = items[items["country"].isin(COUNTRIES) & items["question_id"].isin(facts)].reset_index(drop=True)
    parts = ["train"] * 6 + ["validation"] * 4 + ["test"] * 2
    write_parquet(paths.items, items)
    write_parquet(paths.split, pd.DataFrame({"question_id": facts, "split": parts}))
    write_json(paths.layer, {"layer": LAYER})
    lm, sae = load_language_model(config.model), load_sae(config.sae.path.replace("LAYER", str(LAYER)))
    template = PromptConfig()
    prompts = PromptFormat(template.mcq, template.option, template.open_ended, template.boxed)
    for number, (country, language) in enumerate(COUNTRIES.items()):
        own = items[items["country"] == country].merge(pd.read_parquet(paths.split), on="question_id")
        own = own[own["split"] != "test"].reset_index(drop=True)
        unread = ["-"] * len(own)
        made = prepare(
            lm, LAYER, own, unread, [True] * len(own), "open_ended", prompts, config.model, config.generation, 0, sae
        )  # fmt: skip
        made.store.save(paths.store(language, country, "open_ended"), {})
        write_parquet(paths.pairs(language, country, "open_ended"), made.rows)
        for setting in config.settings:
            g = torch.Generator().manual_seed(number)
            dense = VectorInfo("bipo", "dense", LAYER, lm.source, lm.digest)
            sparse = replace(dense, method="yapo", space="sparse", sae="it", sae_digest=sae.digest, multiplier=1.5)
            values = {"bipo": torch.randn(sae.d_model, generator=g), "yapo": torch.zeros(sae.d_sae)}
            values["yapo"][torch.randperm(sae.d_sae, generator=g)[:40]] = 2 * torch.randn(40, generator=g)
            for info in (dense, sparse):
                path = paths.vector(language, country, info.method, "open_ended", setting)
                SteeringVector(values[info.method], info).save(path)
    return config


@pytest.fixture(scope="module")
def paths(config: Config) -> Paths:
    for country in COUNTRIES:
        features.main(replace(config, country=country))
    features_table.main(config)
    return Paths.of(config)


def contents(root: Path) -> dict[str, bytes]:
    wanted = [*root.glob("features/**/*"), *root.glob("*/*/studies/*"), *root.glob("tables/*"), *root.glob("figures/*")]
    return {str(path.relative_to(root)): path.read_bytes() for path in wanted if path.is_file()}


def test_a_page_for_every_vector_and_an_index_that_leads_to_them(paths: Paths) -> None:
    pages = {str(path.relative_to(paths.root / "features")) for path in (paths.root / "features").rglob("*.html")}
    own = {f"{language}-{country}/{m}-open_ended-both.html" for country, language in COUNTRIES.items() for m in ("bipo", "yapo")}
    assert pages == {*own, "index.html"}
    index = (paths.root / "features" / "index.html").read_text(encoding="utf-8")
    assert all(f'href="{page}"' in index for page in own)
    page = (paths.root / "features" / "arabic-egypt" / "yapo-open_ended-both.html").read_text(encoding="utf-8")
    assert "40 of 1,024" in page
    assert '<p lang="ar" dir="rtl">' in page
    assert "Neuronpedia has no pages of this autoencoder" in page
    assert len(page.encode()) < 200_000


def test_rows_hold_what_the_vectors_are(paths: Paths) -> None:
    rows = pd.read_parquet(paths.study_rows("features", "arabic", "egypt")).set_index(["method", "setting"])
    assert len(rows) == 4
    assert rows.loc[("yapo", "both"), "touched"] == 40
    vector = SteeringVector.load(paths.vector("arabic", "egypt", "bipo", "open_ended", "both"))
    torch.testing.assert_close(torch.tensor(rows.loc[("bipo", "both"), "change"]), vector.values)
    top = pd.read_parquet(paths.study_rows("features_top", "arabic", "egypt"))
    assert top.groupby(["method", "setting"]).size().to_dict() == {("bipo", "both"): 6, ("yapo", "both"): 6}
    yapo = top[top["method"] == "yapo"]
    values = SteeringVector.load(paths.vector("arabic", "egypt", "yapo", "open_ended", "both")).values
    assert (values[yapo["feature"].tolist()].sign().numpy() == yapo["effect"].apply(lambda e: (e > 0) - (e < 0))).all()
    assert yapo["tokens_before"].map(len).max() <= 4


def test_no_test_question_is_read(paths: Paths) -> None:
    items = pd.read_parquet(paths.items).merge(pd.read_parquet(paths.split), on="question_id")
    hidden = set(items.loc[items["split"] == "test", "topic"]) - set(items.loc[items["split"] != "test", "topic"])
    assert hidden
    for country, language in COUNTRIES.items():
        top = pd.read_parquet(paths.study_rows("features_top", language, country))
        assert not hidden & {topic for name in ("before", "during", "control") for t in top[f"topics_{name}"] for topic in t}


def test_tables_figures_and_finding(paths: Paths) -> None:
    finding = Finding.load(paths.finding("features"))
    assert all((paths.root / "tables" / f"{name}.csv").exists() for name in finding.tables)
    assert all((paths.root / "figures" / f"{name}.svg").exists() for name in finding.figures)
    assert all((paths.root / page).exists() for page in finding.pages)
    assert finding.reading.startswith("Open-ended, both. Effective number of features: BiPO")


def test_the_same_twice(config: Config, paths: Paths) -> None:
    before = contents(paths.root)
    features.main(replace(config, country="nepal"))
    features_table.main(config)
    assert contents(paths.root) == before


def test_a_setting_without_vectors_is_refused(config: Config) -> None:
    wanted = replace(config.studies.features, settings=["nonlocalized"])
    changed = replace(config, studies=replace(config.studies, features=wanted))
    with pytest.raises(YapoError, match=r"^settings=nonlocalized: unknown setting .*choose among both, localized"):
        features.main(changed)


def test_methods_without_any_vector_are_refused_before_anything_is_read(config: Config, tmp_path: Path) -> None:
    changed = replace(config, results=str(tmp_path), methods=["dspa"])
    for stage in (features, features_table):
        with pytest.raises(
            YapoError, match=r"^methods=\[dspa\]: none of them has a vector that learns from pairs, which features needs"
        ):
            stage.main(changed)
    assert of_kind("directions", ["dspa", "yapo", "caa"]) == ["yapo", "caa"]


def test_the_list_by_weight_and_activation_is_in_its_order(paths: Paths) -> None:
    """And holds the largest products of all features, not of the strongest by effect alone."""
    page = (paths.root / "features" / "arabic-egypt" / "yapo-open_ended-both.html").read_text(encoding="utf-8")
    part = page.partition("Strongest by weight × activation")[2].partition("<h2>")[0]
    rows = [re.findall(r">([^<]+)</t[hd]>", row)[:6] for row in part.split("<tr>")[2:]]
    numbers = [[float(cell.replace("−", "-")) for cell in row] for row in rows]
    assert len(numbers) == 6
    sizes = [abs(product) for _, product, *_ in numbers]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
    vector = SteeringVector.load(paths.vector("arabic", "egypt", "yapo", "open_ended", "both"))
    store, _ = ActivationStore.load(paths.store("arabic", "egypt", "open_ended"))
    part_of = next(
        p for p in train_sets(pd.read_parquet(paths.pairs("arabic", "egypt", "open_ended")), ["both"]) if p.name == "both"
    )
    mean = Texts.of(store, [*part_of.train, *part_of.validation]).mean_activation(len(vector.values))
    expected = 1.5 * vector.values * mean
    assert [int(row[0]) for row in numbers] == expected.abs().argsort(descending=True)[:6].tolist()
    assert [row[1] for row in numbers] == pytest.approx(expected[[int(row[0]) for row in numbers]].tolist(), abs=6e-4)
    top = pd.read_parquet(paths.study_rows("features_top", "arabic", "egypt"))
    places = dict(top[top["method"] == "yapo"].set_index("feature")["rank"] + 1)
    assert all(row[5] == places.get(int(row[0]), row[5]) for row in numbers)
    dense = (paths.root / "features" / "arabic-egypt" / "bipo-open_ended-both.html").read_text(encoding="utf-8")
    assert "no list by weight × activation" in dense and "Strongest by weight" not in dense


def test_a_method_with_a_map_instead_of_a_vector_is_left_out_and_named(config: Config, tmp_path: Path) -> None:
    shutil.copytree(config.results, tmp_path / "copy")
    changed = replace(config, results=str(tmp_path / "copy"), methods=["bipo", "dspa"], settings=["both"], countries=["egypt"])
    paths = Paths.of(changed)
    place = MapInfo(LAYER, LAYER, "it", "", 8, "it", "", 8, 3, "ablate", 2, 2, False, 90.0, "pairs", "rows")
    entries = Entries(torch.tensor([1]), torch.tensor([2]), torch.tensor([0.5]))
    vector = SteeringVector(torch.ones(1), VectorInfo("dspa", "map", LAYER, "it", ""), ConditionalMap(place, entries))
    vector.save(paths.vector("arabic", "egypt", "dspa", "open_ended", "both"))
    features.main(changed)
    features_table.main(changed)
    assert set(pd.read_parquet(paths.study_rows("features", "arabic", "egypt"))["method"]) == {"bipo"}
    assert "Not here: DSPA, a map and no vector" in (paths.root / "features" / "index.html").read_text(encoding="utf-8")
    assert "Left out: DSPA, a map and no vector." in (paths.root / "tables" / "features.md").read_text(encoding="utf-8")
