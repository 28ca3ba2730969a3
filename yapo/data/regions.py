"""The regional atlas: facts on which the regions of a country differ, a small real data set that ships with the project.

One YAML file per country holds its places (the country itself and its regions) and, for every fact, wordings of the question, the
answer of every place, and the titles of encyclopedia articles that say so. A region may answer as its country does. There is no
Western control. The topic of a fact is its country, so that every split has facts of each; its category says what it is about.

It is a data set of its own, so that the country atlas and what was trained on it stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yapo.data.atlas import Context, Fact, Language, check_questions, filled_text, mapping, read_yaml, texts
from yapo.errors import YapoError
from yapo.names import check_key, place_key

REGIONS_DIR = Path(__file__).resolve().parents[2] / "world" / "regions"


def load_regions(folder: Path = REGIONS_DIR) -> dict[str, Language]:
    """Read every file of ``folder``, keyed by country, in file-name order; contexts are keyed by place (``yapo.names``).

    Raises:
        YapoError: a file is not YAML, lacks a key, an answer or a source, or a question stands under two facts.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise YapoError(f"{folder}: holds no file of a country; copy the whole folder")
    return {path.stem: _country(path) for path in paths}


def _country(path: Path) -> Language:
    raw = read_yaml(path)
    try:
        given = mapping(path, "places", raw["places"])
        if path.stem not in given or len(given) < 3:
            raise YapoError(
                f"{path}: places are {', '.join(given)}; give {path.stem}, the country itself, and two regions or more"
            )
        places = [_context(path, key, place) for key, place in given.items()]
        facts = tuple(_fact(path, key, fact, given) for key, fact in mapping(path, "facts", raw["facts"]).items())
        name, code = (filled_text(path, key, raw[key]) for key in ("language", "code"))
        neutral = texts(path, "neutral_prefixes", raw["neutral_prefixes"])
    except KeyError as missing:
        raise YapoError(f"{path}: key {missing} is missing; see the other files of the folder for the format") from None
    except TypeError as error:
        raise YapoError(f"{path}: a place or fact is not keys with values ({error}); see the other files of the folder") from None
    country = Language(name, code, "", neutral, {place.key: place for place in places}, facts)
    check_questions(path, country)
    return country


def _context(path: Path, key: str, place: Mapping[str, Any]) -> Context:
    check_key(key, f"{path}: place")
    name, prefixes = filled_text(path, f"name of {key}", place["name"]), texts(path, f"prefixes of {key}", place["prefixes"])
    return Context(_place(path, key), name, "", (), prefixes)


def _fact(path: Path, key: str, fact: Mapping[str, Any], places: Mapping[str, Any]) -> Fact:
    answers = mapping(path, f"answers of {key}", fact["answers"])
    if set(answers) != set(places):
        raise YapoError(f"{path}: {key} has answers for {sorted(answers)}; give one for each of {sorted(places)}")
    texts(path, f"sources of {key}", fact["sources"])
    return Fact(
        question_id=f"{path.stem}-{key}",
        topic=path.stem,
        category=key.rpartition("-")[0],
        questions=texts(path, f"questions of {key}", fact["questions"]),
        answers={_place(path, name): filled_text(path, f"answer of {key}", answer) for name, answer in answers.items()},
    )


def _place(path: Path, key: str) -> str:
    return key if key == path.stem else place_key(path.stem, key)
