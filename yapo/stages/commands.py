"""The shell commands that make a study again, with the settings that its files were made with."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from yapo.config import Config
from yapo.config.compose import compose, plain
from yapo.stages.provenance import TrainingRun

SAFE = r"[\w.,=\[\]/+~@%-]+"  # texts that mean the same to the shell within double quotes, to Snakemake's YAML and to Hydra


def own_settings(made: Sequence[TrainingRun], overrides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of one method's training that the study's overrides do not give it: by method, then by key.

    Args:
        made: how each method was trained.
        overrides: of the study.
    """
    found = {}
    for one in made:
        expected = json.loads(json.dumps(plain(compose([*overrides, f"method={one.method}"]))))
        given = {group: _leaves(expected[group], f"{group}.") for group in one.config}
        taken = {group: _leaves(values, f"{group}.") for group, values in one.config.items()}
        own = {key: v for group, values in taken.items() for key, v in values.items() if given[group].get(key) != v}
        if own:
            found[one.method] = own
    return found


def as_overrides(settings: Mapping[str, Any]) -> str:
    """Settings as Hydra reads them on a command line."""
    return shlex.join(f"{key}={_value(value)}" for key, value in settings.items())


def commands(config: Config, overrides: Sequence[str], own: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the shell commands that make the study's files again.

    Args:
        config: what the overrides compose.
        overrides: what the stage was started with.
        own: see ``own_settings``.
    """
    given = {key: value for key, _, value in (override.partition("=") for override in overrides)}
    rest = [o for o in overrides if o.partition("=")[0] not in ("experiment", "countries")]
    parts = [f"experiment={shlex.quote(config.experiment)}"] if config.experiment != "embedded" else []
    if "countries" in given:
        parts.append(shlex.quote(f"countries={given['countries']}"))
    if rest:
        parts.append(_quoted("overrides", " ".join(o if re.fullmatch(SAFE, o) else shlex.quote(o) for o in rest)))
    if own:
        inner = ", ".join(
            f"{method}: {json.dumps(as_overrides(settings), ensure_ascii=False)}" for method, settings in own.items()
        )
        parts.append(shlex.quote(f"method_overrides={{{inner}}}"))
    start = "snakemake --cores all " + (f"--config {' '.join(parts)} -- " if parts else "")
    return "\n".join(start + goal for goal in ("all_tables", "all_studies" if config.studies.reported else "report"))


def _quoted(key: str, text: str) -> str:
    """A value of ``--config``, which the shell reads and then, as YAML, Snakemake."""
    if re.fullmatch(rf"{SAFE}(?: {SAFE})*", text):
        return f'{key}="{text}"'
    return shlex.quote(f"{key}= {json.dumps(text, ensure_ascii=False)} ")  # Snakemake takes quotes at its ends away


def _value(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _leaves(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
