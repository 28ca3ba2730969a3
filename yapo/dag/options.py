"""The keys of ``snakemake --config``, checked before anything is planned."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import yaml

from yapo.config import Config
from yapo.config.conf_files import group_options
from yapo.errors import YapoError, nearest, unknown
from yapo.names import check_place
from yapo.studies.registry import STUDIES

TARGETS = ("all_tables", "all_studies", "report", "curate", *STUDIES)
KEYS = ("experiment", "countries", "overrides", "method_overrides", "study")
# Groups of settings that decide the training of one method.
OF_A_METHOD = (
    "train",
    "method.options",
    "learning_rate",
    "method_options",
    *(part.name for part in fields(Config) if part.name in group_options("method")),
)


@dataclass(frozen=True)
class Options:
    """A study's options.

    Attributes:
        overrides: Hydra overrides of every stage; the first names the experiment.
        method_overrides: more of them for the training of one method, by method.
        study: the target that is made where none is named.
    """

    overrides: list[str]
    method_overrides: dict[str, list[str]]
    study: str

    def of_method(self, method: str) -> list[str]:
        """Return the overrides of one method's training, beside those of every stage."""
        return [f"method={method}", *self.method_overrides.get(method, [])]


def read_options(config: Mapping[str, Any], typed: Sequence[str] = ()) -> Options:
    """Read what ``--config`` gives.

    Args:
        config: values by key, as Snakemake reads them.
        typed: ``key=value`` as typed, where they were typed: Snakemake reads a text such as 3.10 as a number.

    Raises:
        YapoError: an unknown key, a value of the wrong kind, an unknown method, or overrides that cannot be split into words.
    """
    texts = {key: value for key, equals, value in (word.partition("=") for word in typed) if equals}
    for key, value in config.items():
        if key not in KEYS:
            hint = nearest(key, KEYS) or 'settings go into overrides, as overrides="train.epochs=10"; '
            raise YapoError(f"--config {key}={value}: unknown key; {hint}choose among {', '.join(KEYS)}")
    experiment = _text(config, texts, "experiment", "embedded")
    if experiment not in group_options("experiment"):
        raise unknown("experiment", "experiment", experiment, group_options("experiment"))
    study = _text(config, texts, "study", TARGETS[0])
    if study not in TARGETS:
        raise unknown("study", "study", study, TARGETS)
    overrides = [
        f"experiment={experiment}",
        *_words("overrides", _text(config, texts, "overrides", ""), texts.get("overrides", "")),
    ]
    countries = _countries(config.get("countries"))
    if countries:
        overrides.append(f"countries=[{','.join(countries)}]")
    return Options(overrides, _method_overrides(config.get("method_overrides"), texts.get("method_overrides")), study)


def _text(config: Mapping[str, Any], texts: Mapping[str, str], key: str, default: str) -> str:
    """A text as typed, without quotes around it."""
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, (dict, list)):
        raise YapoError(f"{key}={value}: give one text, in quotes where it has spaces")
    return str(value) if isinstance(value, str) else texts.get(key, str(value))


def _words(key: str, text: str, typed: str = "") -> list[str]:
    """Split overrides as a shell does. Snakemake strips a closing quote, so the typed text is tried second."""
    try:
        return shlex.split(text)
    except ValueError as error:
        if typed.strip("'\"") == text != typed:
            return _words(key, typed)
        raise YapoError(f"{key}={text}: {str(error).lower()}; close the quote, or write a quote in double ones") from None


def _countries(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise YapoError(f"countries={value}: give a list, as 'countries=[{value}]'")
    if not all(isinstance(country, str) for country in value):
        raise YapoError(f"countries={value}: give texts; write no, yes, on and numbers in quotes, as 'countries=[\"no\"]'")
    return [check_place(country, "countries:") for country in value]


def _method_overrides(value: Any, typed: str | None) -> dict[str, list[str]]:
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise YapoError(f"method_overrides={value}: give overrides by method, as 'method_overrides={{yapo: train.lr=1e-3}}'")
    written = None if typed is None else yaml.compose(typed, yaml.BaseLoader)  # of two values, a dict holds the last
    if isinstance(written, yaml.MappingNode):
        names = [key.value for key, _ in written.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise YapoError(f"method_overrides={typed}: names {twice} twice; give all its overrides in one text")
    found = {}
    for method, text in value.items():
        if method not in group_options("method"):
            raise unknown("method", "method_overrides", str(method), group_options("method"))
        if not isinstance(text, str):
            raise YapoError(f"method_overrides.{method}={text}: give one text, as 'method_overrides={{{method}: train.lr=1e-3}}'")
        found[str(method)] = _words(f"method_overrides.{method}", text)
        for word in found[method]:
            key = word.partition("=")[0].lstrip("+~")
            if "=" in word and not any(key == group or key.startswith(f"{group}.") for group in OF_A_METHOD):
                raise YapoError(
                    f"method_overrides.{method}={word}: is no setting of one method's training ({', '.join(OF_A_METHOD)}); "
                    "put it into overrides"
                )
    return found
