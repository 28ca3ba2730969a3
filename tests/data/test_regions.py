"""Regions: the atlas of them that ships, copies of it that must be refused, and tables of one's own with a region column."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from tests.refusals import refused
from yapo.config.compose import compose
from yapo.dag.scope import check_country
from yapo.data.atlas import Language
from yapo.data.regions import load_regions
from yapo.data.schema import by_place, check_items
from yapo.data.sources import known_countries, load_items
from yapo.data.split import split_facts
from yapo.errors import YapoError
from yapo.names import place_parts
from yapo.stages import data
from yapo.stages.inputs import read_items

CONFIG = compose(["data=regions"])
PERU = """
language: Spanish
code: es
neutral_prefixes: [""]
places:
  peru: {name: Peru, prefixes: ["Soy de Peru."]}
  coast: {name: Coast, prefixes: ["Soy de la costa."]}
  sierra: {name: Sierra, prefixes: ["Soy de la sierra."]}
facts:
  food-1:
    questions: ["Que se come?", "Que plato es tipico?"]
    answers: {peru: ceviche, coast: ceviche, sierra: pachamanca}
    sources: [Ceviche, Pachamanca]
"""


@pytest.fixture(scope="module")
def countries() -> dict[str, Language]:
    return load_regions()


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return load_items(CONFIG.data)


def test_four_countries_with_twenty_facts_on_which_every_two_regions_differ(countries: dict[str, Language]) -> None:
    assert list(countries) == ["brazil", "morocco", "spain", "uk"]
    for name, country in countries.items():
        regions = [place for place in country.contexts if place != name]
        assert len(regions) >= 2
        for one, other in combinations(regions, 2):
            assert sum(fact.answers[one] != fact.answers[other] for fact in country.facts) >= 20
        for fact in country.facts:
            assert len(set(fact.questions)) == 3, fact
            assert all(text.strip() == text and text for text in (*fact.questions, *fact.answers.values()))


def test_items_tell_country_and_regions_apart(items: pd.DataFrame) -> None:
    assert list(known_countries(CONFIG.data))[4:7] == ["morocco", "morocco.north", "morocco.south"]
    assert set(items.loc[items["country"] == "morocco", "region"]) == {"", "north", "south"}
    places = by_place(items)
    assert "region" not in places
    assert set(places["country"]) == set(known_countries(CONFIG.data))
    assert (items["options"].map(len) <= 4).all()  # a region that answers as its country does adds no option


def test_the_regions_of_a_fact_stand_on_one_side_of_the_split(items: pd.DataFrame) -> None:
    for seed in range(3):
        split = split_facts(items, compose([f"split.seed={seed}"]).split)
        sides = by_place(items).merge(split, on="question_id").groupby(["language", "question"])["split"].nunique()
        assert (sides == 1).all()
        assert set(split["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  sierra: {name: Sierra, prefixes: [\"Soy de la sierra.\"]}\n", "", "places are peru, coast; give peru, the country"),
        (", sierra: pachamanca", "", r"food-1 has answers for \['coast', 'peru'\]; give one for each"),
        ("sierra: pachamanca", "sierra: pachamanca, jungle: juane", "food-1 has answers for .*'jungle'"),
        ("  sierra: {", "  Sierra: {", "place 'Sierra' must be lower-case letters .*write sierra"),
        ("    sources: [Ceviche, Pachamanca]\n", "", "key 'sources' is missing"),
        ("sources: [Ceviche, Pachamanca]", "sources: []", r"sources of food-1 is \[\], not a list of texts"),
        ("code: es\n", "", "key 'code' is missing"),
        ("{name: Coast, prefixes: [\"Soy de la costa.\"]}", "costa", "a place or fact is not keys with values"),
        ('"Que plato es tipico?"', '""', "food-1 has an empty question"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in PERU
    (tmp_path / "peru.yaml").write_text(PERU.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(YapoError, match=f"peru.yaml: .*{message}"):
        load_regions(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    refused(lambda: load_regions(tmp_path), "holds no file of a country")


def table(answers: dict[str, list[str]]) -> pd.DataFrame:
    """A table of own items: the answer of each region of Peru ("" for the country) to the first facts."""
    return pd.DataFrame(
        {"question_id": f"fact{fact}", "language": "Spanish", "country": "peru", "region": region, "topic": f"topic{fact}",
         "category": "food", "variant": variant, "phrasing": 0,
         "question": f"{f'Soy de {region} Peru. ' if variant == 'localized' else ''}Que plato {fact}?",
         "options": ["a", "b", "c"], "answer_index": "abc".index(answer), "answer": answer, "control_index": -1}
        for region, given in answers.items()
        for fact, answer in enumerate(given)
        for variant in ("localized", "nonlocalized")
    )  # fmt: skip


OWN = table({"": list("aaaa"), "coast": list("abca"), "sierra": list("bbbc")})


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_of_ones_own(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"items.{ending}"
    if ending == "csv":
        OWN.assign(options=OWN["options"].map(json.dumps)).to_csv(path, index=False)
    elif ending == "jsonl":
        OWN.to_json(path, orient="records", lines=True)
    else:
        OWN.assign(region=OWN["region"].replace("", None)).to_parquet(path, index=False)
    overrides = [f"results={tmp_path}", "data=table", f"data.path={path}", "country=peru", "region=coast"]
    config = compose(overrides)
    data.main(config)
    assert known_countries(config.data) == dict.fromkeys(("peru", "peru.coast", "peru.sierra"), "spanish")
    found = read_items(config, config.country)
    assert found.loc[found["variant"] == "localized", "answer"].tolist() == list("abca")
    assert set(found["country"]) == {"peru.coast"}
    refused(
        lambda: read_items(config, "peru.jungle"), "country=peru.jungle: unknown region; choose among peru.coast, peru.sierra"
    )


def test_tables_that_name_no_region_stay_as_they_are() -> None:
    plain = table({"": list("aabc")})
    assert list(check_items(plain, "here")) == [name for name in plain if name != "region"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (table({"coast": list("abca"), "sierra": list("abca")}), "regions coast and sierra of peru answer none of"),
        (
            pd.concat([table({"coast": list("ab")}), table({"sierra": list("abca")}).iloc[4:]]),
            "coast and sierra of peru answer none of their 0 common facts differently; add facts on which they differ",
        ),
        (OWN.replace({"region": {"coast": "The Coast"}}), "here: row 9: region 'The Coast' must be lower-case letters"),
        (OWN.assign(region=7), "here: column region fails 'text'"),
        (pd.concat([OWN, OWN[8:9]]), "(question_id fact0, country peru, variant localized, "),
    ],
)  # fmt: skip
def test_tables_with_regions_that_are_refused(items: pd.DataFrame, message: str) -> None:
    refused(lambda: check_items(items, "here"), message)


def test_a_region_of_data_without_regions() -> None:
    config = compose(["country=egypt", "region=delta"])
    known = known_countries(config.data)
    refused(
        lambda: check_country(config.country, known), "country=egypt.delta: the data tell no regions of egypt apart; write egypt"
    )
    refused(lambda: compose(["country=morocco.south", "region=north"]), "region=north: country=morocco.south names one too")
    refused(lambda: compose(["region=The North"]), "region 'The North' must be lower-case letters")
    assert place_parts(compose(["country=morocco", "region=north"]).country) == ("morocco", "north")
