"""Names of countries, languages and methods as tables show them."""

from __future__ import annotations

import pytest

from yapo.errors import YapoError
from yapo.reporting.names import label, ordered


@pytest.mark.parametrize(
    ("kind", "key", "shown"),
    [
        *(("language", name, name) for name in ("Arabic", "Urdu", "Brazilian Portuguese", "K'iche'", "isiZulu", "old_english")),
        *(("country", *row) for row in (("peru", "Peru"), ("south_korea", "South Korea"), ("guinea-bissau", "Guinea-Bissau"))),
        *(("country", *row) for row in (("uae", "UAE"), ("uk", "UK"), ("de", "DE"), ("ksa", "KSA"), ("iran", "Iran"))),
        ("country", "trinidad_and_tobago", "Trinidad and Tobago"),
        ("country", "andorra", "Andorra"),
        *(("method", *row) for row in (("yapo", "YaPO"), ("mine", "MINE"), ("my_method", "My method"))),
        ("country", "Average", "Average"),
        ("country", "uk.northern_ireland", "UK, Northern Ireland"),
    ],
)
def test_names_that_do_not_ship_are_shown_as_they_are_written(kind: str, key: str, shown: str) -> None:
    assert label(kind, key) == shown


def test_regions_stand_behind_their_country() -> None:
    assert ordered("country", ["spain", "morocco.south", "morocco", "peru.coast", "peru", "spain.galicia", "morocco.north"]) == [
        "spain", "spain.galicia", "morocco", "morocco.north", "morocco.south", "peru", "peru.coast",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["task", "setting", "variant"])
def test_words_of_a_results_file_that_are_none(kind: str) -> None:
    with pytest.raises(YapoError, match=rf"^{kind}=essay: choose one of "):
        ordered(kind, ["essay"])
