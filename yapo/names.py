"""Names of languages, countries, regions, behaviours and experiments, and the folders that they give.

They are named by data and settings, and their names become folders. One rule says which names are taken; ``folder_of`` alone
turns a text into a folder name.

A *name* (of a language) is any text that is readable: ``Nepali Hindi``, ``K'iche'`` and ``Chinese (Simplified)`` are names. A
*key* (of a country, region or behaviour) is also typed on command lines, so it is simpler: lower-case letters, digits, ``_`` and
``-``. A *place* is a country, ``morocco``, or one of its regions, ``morocco.north``; a study can work on either.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from yapo.errors import YapoError

NEWEST = "main"  # revision of a repository of the hub
LONGEST = 100  # characters of a name
# Folders of a study beside those of its languages.
STUDY_FOLDERS = frozenset(
    {
        *("behaviours", "curation", "data", "features", "figures", "knowledge"),
        *("logs", "mlartifacts", "preferences", "sae", "studies", "tables"),
    }
)

# Folders of a country.
COUNTRY_FOLDERS = frozenset({"pairs", "portable", "prepared", "studies", "train", "vectors"})

AGGREGATES = ("Average", "Subtotal", "Overall", "Total")  # rows of tables that stand where a language or country does
EVERY = "all"  # likewise
_RESERVED = frozenset(name.lower() for name in (*AGGREGATES, EVERY))

_KEY = re.compile(r"[a-z][a-z0-9_-]*")
_JOINERS = "\u200c\u200d"  # belong to the spelling of some scripts; every other invisible character is refused


def check_name(name: str, where: str) -> str:
    """Return a name that can become a folder.

    Args:
        name: the text as it stands in the data or settings.
        where: what an error begins with, such as ``items.csv: row 3: language``.

    Raises:
        YapoError: the text is empty, longer than ``LONGEST`` characters, begins or ends with a space, begins with a dot, or has a
            slash, a line end, an invisible character, or no letter or digit.
    """
    fault = _fault(name)
    if fault:
        written = ascii(name) if any(map(_invisible, name)) else repr(name)
        written = written if len(written) <= LONGEST else f"{written[: LONGEST // 2]}...'"
        raise YapoError(f"{where} {written} {fault}")
    return name


def check_key(key: str, where: str) -> str:
    """Return a key: a name that can be typed on a command line without quotes.

    Raises:
        YapoError: the key has other characters than a-z, 0-9, ``_`` and ``-``, does not begin with a letter, or is no name.
    """
    check_name(key, where)
    if not _KEY.fullmatch(key):
        simple = _simple(key)
        instead = f"; write {simple}" if simple else ", such as nepal"
        raise YapoError(f"{where} {key!r} must be lower-case letters a-z, digits, _ and -, a letter first{instead}")
    return key


def place_key(country: str, region: str) -> str:
    """Return the place of a country, or of one of its regions where one is named."""
    return f"{country}.{region}" if region else country


def place_parts(place: str) -> tuple[str, str]:
    """Return country and region of a place; no region for a country."""
    country, _, region = place.partition(".")
    return country, region


def check_place(place: str, where: str) -> str:
    """Return a place: the key of a country, perhaps with a dot and the key of a region.

    Raises:
        YapoError: see ``check_key``.
    """
    country, region = place_parts(place)
    if not (country and region):
        return check_key(place, where)
    check_key(country, where)
    check_key(region, f"{where} {country}: region")
    return place


def folder_of(name: str, where: str = "name") -> str:
    """Return the folder name of a language: lower-case letters of any script, digits and ``_``.

    A name of letters, digits and ``_`` gives itself in lower case. Any other gives its letters and a digest of the whole text, so
    that distinct names give distinct folders. Names that differ only in case share one; see ``language_folders``.

    Raises:
        YapoError: see ``check_name``.
    """
    text = unicodedata.normalize("NFC", check_name(name, where)).lower()
    folder = "_".join("".join(c if c == "_" or unicodedata.category(c)[0] in "LMN" else " " for c in text).split())
    if folder == text and folder not in STUDY_FOLDERS and len(folder.encode()) <= LONGEST:
        return folder
    return f"{folder[: LONGEST // 4]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def language_folders(pairs: Iterable[tuple[str, str]], source: Path | str) -> dict[str, str]:
    """Return the language folder of each place, in the order given.

    Args:
        pairs: place and language of each item; repetitions do not matter.
        source: what errors begin with.

    Raises:
        YapoError: a country is no key, a language is no name, either is named as a row of the tables is, a country has two
            languages, or two spellings of a language would share a folder.
    """
    languages: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for country, language in dict.fromkeys(pairs):
        check_place(country, f"{source}: country")
        folder = folder_of(language, f"{source}: language")
        for kind, name in (("country", country), ("language", language)):
            if name.lower() in _RESERVED:
                raise YapoError(f"{source}: {kind} {name!r} is the name of a row of the tables; name it otherwise")
        if languages.setdefault(country, language) != language:
            raise YapoError(
                f"{source}: country {country!r} has two languages, {languages[country]!r} and {language!r}; give it one, or make "
                "two countries of it"
            )
        if spellings.setdefault(folder, language) != language:
            raise YapoError(f"{source}: languages {spellings[folder]!r} and {language!r} are one name; spell it one way")
    return {country: folder_of(language) for country, language in languages.items()}


def check_experiment(name: str) -> str:
    """Return the name of an experiment, which is its folder in ``results``, unchanged.

    Raises:
        YapoError: it has other characters than letters, digits, spaces, ``_``, ``-`` and ``.``.
    """
    check_name(name, "experiment")
    odd = next((c for c in name if c not in "_-. " and unicodedata.category(c)[0] not in "LMN"), "")
    if odd or not name[0].isalnum():
        raise YapoError(
            f"experiment={name}: use letters, digits, spaces, _ - and ., a letter or digit first; {odd or name[0]!r} is none"
        )
    return name


def _fault(name: str) -> str:
    """Say why a text is no name, and what to do; nothing where it is one."""
    if not name.strip():
        return "is empty; write a name"
    if any(map(_invisible, name)):
        return "has a line end or another invisible character; take it out"
    if name != name.strip():
        return "begins or ends with a space; take it off"
    if len(name) > LONGEST:
        return f"has {len(name)} characters; use at most {LONGEST}"
    if "/" in name or "\\" in name:
        return "has a slash, which separates folders; write the name without it"
    if name.startswith("."):
        return "begins with a dot; write the name without it"
    if not any(c.isalnum() for c in name):
        return "has no letter or digit; write a name"
    return ""


def _invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Zl", "Zp") or (category[0] == "C" and character not in _JOINERS)


def _simple(text: str) -> str:
    """Return the nearest key to a text; empty where it has no Latin letters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "_", re.sub(r"['’`]", "", plain)).strip("_-0123456789")


def is_hub_id(path: str) -> bool:
    """Return whether a path that is no folder here reads as owner/name; not where its parent is a folder."""
    named = bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", path))
    return named and not os.path.exists(path) and not os.path.isdir(os.path.dirname(path))
