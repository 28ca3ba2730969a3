"""Names that are taken or refused, and the folders that they give."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.data.atlas import load_atlas
from yapo.errors import YapoError
from yapo.names import (
    STUDY_FOLDERS,
    check_experiment,
    check_key,
    check_name,
    check_place,
    folder_of,
    language_folders,
    place_key,
    place_parts,
)

HOSTILE = [
    "hindi; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a b",
    "K'iche'",
    'the "h"',
    "Hindi {np}",
    "x|y*?[z]",
]


def test_folders_of_the_atlas_are_its_languages() -> None:
    assert [folder_of(language.name) for language in load_atlas().values()] == list(load_atlas())


def test_letters_of_every_script_stay() -> None:
    assert [folder_of(name) for name in ("Français", "हिन्दी", "日本語", "العربية", "old_english")] == [
        "français", "हिन्दी", "日本語", "العربية", "old_english",
    ]  # fmt: skip
    assert folder_of("Franc\u0327ais") == "français"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_folder_has_nothing_that_a_shell_or_a_pattern_reads(name: str) -> None:
    folder = folder_of(name)
    assert re.fullmatch(r"\w+_[0-9a-f]{8}", folder)
    assert folder_of(folder) == folder


def test_names_that_are_alike_have_folders_of_their_own() -> None:
    alike = ["Chinese (Simplified)", "Chinese [Simplified]", "Chinese Simplified", "Chinese-Simplified", "Chinese_Simplified"]
    assert len({folder_of(name) for name in alike}) == len(alike)
    assert folder_of("Chinese_Simplified") == "chinese_simplified"


KEYS = st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True)


@given(KEYS, KEYS | st.just(""))
def test_a_place_is_a_country_and_perhaps_a_region(country: str, region: str) -> None:
    assert place_parts(check_place(place_key(country, region), "here")) == (country, region)


@pytest.mark.parametrize("place", ["morocco.", ".north", "morocco.The North", "morocco.a.b", "../x", "Morocco.north"])
def test_what_is_no_place(place: str) -> None:
    with pytest.raises(YapoError, match=r"^here "):
        check_place(place, "here")


@pytest.mark.parametrize("name", ["Data", "logs", "TABLES", "behaviours"])
def test_no_language_takes_a_folder_of_the_study(name: str) -> None:
    assert folder_of(name) not in STUDY_FOLDERS


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=120))
def test_any_text_is_refused_or_gives_one_safe_folder(text: str) -> None:
    try:
        folder = folder_of(text)
    except YapoError:
        return
    assert folder.strip() == folder
    assert not set(folder) & set("./\\ \0\n'\"$`;&|<>(){}[]*?!~#-")
    assert len(folder.encode()) <= 200


REFUSED = [
    ("", "is empty"),
    ("   ", "is empty"),
    ("../x", "has a slash"),
    ("../../../evil", "has a slash"),
    ("/etc/x", "has a slash"),
    ("a\\b", "has a slash"),
    (".", "begins with a dot"),
    ("..", "begins with a dot"),
    (".git", "begins with a dot"),
    ("x" * 300, "has 300 characters; use at most 100"),
    ("a\0b", r"'a\x00b' has a line end or another invisible character"),
    ("france\n", r"'france\n' has a line end"),
    ("a\tb", "invisible character"),
    ("a\u2028b", "invisible character"),
    ("\u202efrance", r"'\u202efrance' has a line end or another invisible"),
    ("fr\u200bance", "invisible character"),
    (" france", "begins or ends with a space"),
    ("france\u00a0", "begins or ends with a space"),
    ("!?", "has no letter or digit"),
    ("\ud800", "invisible character"),
]


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_what_is_no_name(name: str, message: str) -> None:
    for check in (check_name, check_key, folder_of):
        with pytest.raises(YapoError) as caught:
            check(name, "items.csv: language")
        assert str(caught.value).startswith("items.csv: language '")
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        str(caught.value).encode()


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("France", "write france"),
        ("United States", "write united_states"),
        ("Côte d'Ivoire", "write cote_divoire"),
        ("2nd", "write nd"),
        ("नेपाल", "such as nepal"),
        ("a;b", "write a_b"),
    ],
)
def test_what_is_no_key(key: str, instead: str) -> None:
    with pytest.raises(YapoError, match=f"^items.csv: country .* must be lower-case letters.*{instead}$"):
        check_key(key, "items.csv: country")


def test_keys() -> None:
    assert [check_key(key, "") for key in ("no", "nepal", "north-korea", "a1_b")] == ["no", "nepal", "north-korea", "a1_b"]


def test_languages_of_countries() -> None:
    pairs = [("peru", "Spanish"), ("no", "Bokmål (no)"), ("peru", "Spanish")]
    assert language_folders(pairs, "items.csv") == {"peru": "spanish", "no": folder_of("Bokmål (no)")}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("peru", "Spanish"), ("peru", "Quechua")], "country 'peru' has two languages, 'Spanish' and 'Quechua'; give it one"),
        ([("india", "Hindi"), ("nepal", "hindi")], "languages 'Hindi' and 'hindi' are one name; spell it one way"),
        ([("Peru", "Spanish")], "country 'Peru' must be lower-case letters"),
        ([("peru", "../x")], "language '../x' has a slash"),
    ],
)
def test_languages_that_are_refused(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        language_folders(pairs, "items.csv")
    assert str(caught.value).startswith(f"items.csv: {message}")


@pytest.mark.parametrize("name", ["$(touch x)", "a/b", "a;b", "x\n", "-x", "{a}", "..", "a'b", ""])
def test_experiments_that_are_refused(name: str) -> None:
    with pytest.raises(YapoError, match=r"^experiment[= ]") as caught:
        check_experiment(name)
    assert len(str(caught.value).splitlines()) == 1


def test_experiments() -> None:
    assert [check_experiment(name) for name in ("gemma2_2b", "My study 1.2", "étude")] == ["gemma2_2b", "My study 1.2", "étude"]
