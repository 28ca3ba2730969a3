"""Words of the configuration (``Task``, ``Setting``, ...), and checks whose errors name the key, the value and what it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from yapo.data.text import shown
from yapo.errors import YapoError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Task = Literal["mcq", "open_ended"]
Setting = Literal["localized", "nonlocalized", "both"]
Variant = Literal["localized", "nonlocalized"]
Split = Literal["train", "validation", "test"]
Role = Literal["train", "test"]  # of a data set; test: nothing is trained on it
PromptControl = Literal["prompt", "few_shot_1", "few_shot_3", "system_mild", "system_strong"]
AdapterMethod = Literal["lora_sft", "lora_dpo"]
Projection = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager"]
TASKS: tuple[Task, ...] = get_args(Task)
SETTINGS: tuple[Setting, ...] = get_args(Setting)
VARIANTS: tuple[Variant, ...] = get_args(Variant)
ADAPTERS: tuple[AdapterMethod, ...] = get_args(AdapterMethod)  # rows of the tables that change the model's weights
CONTROLS = ("baseline", *get_args(PromptControl), "random")  # rows of the tables that are no method
SPLITS: tuple[Split, ...] = get_args(Split)
IMPORTED = "imported"  # the method that takes vectors from files, and learns nothing
Word = TypeVar("Word", bound=str)


def require(condition: bool, key: str, value: object, rule: str) -> None:
    """Refuse a value that breaks a rule."""
    if not condition:
        raise YapoError(f"{key}={value}: {rule}")


def one_of(key: str, value: object, allowed: tuple[Word, ...]) -> Word:
    """Return the word of ``allowed`` that a value is, such as a cell of a table read as a ``Task``; refuse any other."""
    for word in allowed:
        if value == word:
            return word
    raise YapoError(f"{key}={value}: choose one of {', '.join(allowed)}")


def check_words(key: str, settings: DataclassInstance) -> None:
    """Refuse a word that the ``Literal`` type of its field, or of the items of its list, does not have.

    Args:
        key: of the settings, as ``train``; empty for the whole configuration.
        settings: an object of a settings class.
    """
    for name, hint in get_type_hints(type(settings)).items():
        inner = get_args(hint)[0] if get_origin(hint) is list else hint
        if get_origin(inner) is Literal:
            value = getattr(settings, name)
            for word in [value] if inner is hint else value:
                one_of(f"{key}.{name}".lstrip("."), word, get_args(inner))


def distinct(key: str, values: Sequence[object]) -> None:
    """Refuse a list that names something twice."""
    require(len(set(values)) == len(values), key, values, "name each once")


def check_training(key: str, methods: list[str], tasks: Sequence[Task], seeds: list[int]) -> None:
    """Check the settings of a study that trains vectors of its own; ``key`` is the study's."""
    for name, values in (("methods", methods), ("tasks", tasks)):
        distinct(f"{key}.{name}", values)
        require(bool(values), f"{key}.{name}", values, "name at least one")
    require(bool(seeds) and min(seeds) >= 0, f"{key}.seeds", seeds, "give at least one, all 0 or more")
    distinct(f"{key}.seeds", seeds)


def check_types(prefix: str, kind: type[DataclassInstance], values: Mapping[str, Any]) -> None:
    """Refuse a value that is not of the type that its field of a dataclass declares; the error names it after ``prefix``.

    Fields are numbers, texts, true or false, ``Literal`` texts, lists and mappings of these, settings, or any of these or None.
    An int counts as a float.

    Raises:
        YapoError: names the first such field.
    """
    hints = get_type_hints(kind)
    for field in fields(kind):
        _check_type(prefix + field.name, hints[field.name], values[field.name])


def _check_type(key: str, declared: Any, value: Any) -> None:
    kinds = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if declared is Any or (value is None and NoneType in kinds):
        return
    parts = get_args(kinds[0])
    is_word = get_origin(kinds[0]) is Literal
    is_settings = is_dataclass(kinds[0]) and not is_dataclass(value)
    plain = str if is_word else dict if is_settings else get_origin(kinds[0]) or kinds[0]
    right = isinstance(value, (int, float) if plain is float else plain)
    if plain is float and isinstance(value, int):
        require(is_finite(value), key, shown(value), "must be finite")  # a whole number may be beyond floats
    if not right or (isinstance(value, bool) and plain is not bool):
        raise YapoError(f"{key}={shown(value)}: must be {_KINDS[plain]}{', or null' if NoneType in kinds else ''}")
    if is_word:
        one_of(key, value, parts)
    elif plain is list:
        for place, item in enumerate(value):
            _check_type(key if get_origin(parts[0]) is Literal else f"{key}[{place}]", parts[0], item)
    elif plain is dict and parts:
        for name, item in value.items():
            _check_type(f"{key}.{name}", parts[1], item)


_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a JSON object",
    str: "a text",
    list: "a list",
}


def is_finite(value: SupportsFloat) -> bool:
    """Tell whether a number is finite as a float; one too large for a float is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, for ``object_pairs_hook``; raise ``ValueError`` where it names something twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {shown(next(name for name in names if names.count(name) > 1))} twice")
    return found


def check_settings_finite(key: str, value: Any) -> None:
    """Refuse a number that is infinite or NaN, anywhere in nested settings."""
    if isinstance(value, float):
        require(math.isfinite(value), key, value, "give a finite number")
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            check_settings_finite(f"{key}.{part.name}".lstrip("."), getattr(value, part.name))
    elif isinstance(value, dict):
        for name, part in value.items():
            check_settings_finite(f"{key}.{name}", part)
    elif isinstance(value, list):
        for part in value:
            check_settings_finite(key, part)


def check_path(key: str, value: str) -> None:
    """Refuse a path that no file of a study can have: Snakemake takes braces for wildcards."""
    require(not value.startswith("~"), key, value, "~ is not read here; write the home folder in full")
    require(value.isprintable() and not set(value) & set("{}"), key, repr(value), "use a path without braces and line ends")


def host_of(url: str) -> str | None:
    """Return the host of an address; None where it names none, or one that cannot exist."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
        return host if host and host.encode("idna") and url.isprintable() and " " not in url else None
    except ValueError:
        return None


def check_seed(key: str, value: int) -> None:
    """Refuse a seed that numpy would not take."""
    require(value >= 0, key, value, "0 or more")


def filled_template(key: str, template: str, **values: str) -> str:
    """Fill a template; every field must stand in it, and no other."""
    names = ", ".join("{" + name + "}" for name in values)
    try:
        filled = template.format(**values)
    except (KeyError, IndexError, ValueError):
        raise YapoError(f"{key}={template}: fill in {names} and nothing else; other braces are doubled") from None
    require(all("{" + name + "}" in template for name in values), key, template, f"must contain {names}")
    return filled
