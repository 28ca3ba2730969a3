"""Caricatures: whole words, whatever the case and marks; lists of the country and of others; files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.refusals import refused
from yapo.data.atlas import load_atlas
from yapo.evaluation.caricatures import Caricatures

SHIPPED = ROOT / "world" / "caricatures.yaml"


def load(folder: Path, text: str) -> Caricatures:
    path = folder / "caricatures.yaml"
    path.write_text(text, encoding="utf-8")
    return Caricatures.load(path)


def test_terms_are_whole_words(tmp_path: Path) -> None:
    lists = load(tmp_path, "mexico: [Tequila, lucha libre]\negypt: [جمل]\nnepal: [याक]\njapan: [寿司]\n")
    assert lists.own("mexico", ["Órale, TEQUILA!", "tequilas", "lucha  libre", "lucha", ""]) == [True, False, True, False, False]
    assert lists.own("egypt", ["جَمَل", "جميل", "الجمل"]) == [True, False, False]
    assert lists.own("nepal", ["याक।", "याकूब"]) == [True, False]
    assert lists.own("japan", ["お寿司です", "寿 司", "司寿"]) == [True, True, False]


def test_others_leave_out_what_is_the_country_s_own_too(tmp_path: Path) -> None:
    lists = load(tmp_path, "egypt: [camel, pyramid]\nksa: [camel, oil]\n")
    texts = ["a camel", "oil", "a pyramid"]
    assert lists.others("egypt", texts) == [False, True, False]
    assert lists.others("ksa", texts) == [False, False, True]
    assert lists.own("nepal", texts) is None
    assert lists.others("nepal", texts) == [True, True, True]
    assert load(tmp_path, "egypt: [camel]\n").others("egypt", texts) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("egypt: camel\n", ["egypt", "'camel'", "give a list"]),
        ("egypt: []\n", ["egypt", "give a list"]),
        ("egypt: [no]\n", ["egypt", "False", "in quotes"]),
        ("egypt: ['!']\n", ["egypt", "'!'"]),
        ("- camel\n", ["not keys with values"]),
        ("egypt: [a]\negypt: [b]\n", ["egypt"]),
        ("egypt: [a\n", ["not valid YAML"]),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    refused(lambda: load(tmp_path, text), "caricatures.yaml", *parts)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(lambda: Caricatures.load(tmp_path / "none.yaml"), "none.yaml", "no such file")


def test_every_country_of_the_atlas_has_a_list_and_is_its_own_reader() -> None:
    lists = Caricatures.load(SHIPPED)
    assert set(lists.terms) == {country for language in load_atlas().values() for country in language.contexts}
    for country, terms in lists.terms.items():
        assert len(terms) >= 5, country
        assert lists.own(country, list(terms)) == [True] * len(terms)
