"""Check a documented command without running it: its program, options, settings and targets exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

from snakemake.cli import get_argument_parser, parse_config

from yapo.cli.app import COMMANDS
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.dag.command_line import check_targets
from yapo.dag.options import TARGETS, read_options
from yapo.dag.scope import countries_of
from yapo.data.sources import known_countries

ASSIGNMENT = re.compile(r"[A-Z_]+=")


def words_of(command: str) -> list[str]:
    """Return the words of a command, without its comment and the variables set before it."""
    words = shlex.split(command, comments=True)
    while words and ASSIGNMENT.match(words[0]):
        words.pop(0)
    return words


def check(command: str) -> None:
    """Raise an error that names what is wrong. Programs other than make, snakemake and this project's modules pass."""
    words = words_of(command)
    if words[:1] == ["make"]:
        _known("target of make", words[1:], _make_targets())
    elif words[:1] == ["snakemake"]:
        _check_snakemake(words[1:])
    elif words[:1] == ["yapo"]:
        _known("command of yapo", [word for word in words[1:2] if not word.startswith("-")], COMMANDS)
    elif words[:1] == ["python"] and words[1].endswith(".py"):
        _known("script", words[1:2], [str(path.relative_to(ROOT)) for path in ROOT.glob("benchmarks/*.py")])
    elif words[:2] == ["python", "-m"] and words[2:] and words[2].partition(".")[0] in ("yapo", "benchmarks", "tests"):
        if importlib.util.find_spec(words[2]) is None:
            raise ValueError(f"no module {words[2]}")
        if words[2].startswith("yapo.stages."):
            compose([word for word in words[3:] if not word.startswith("--")])


def _check_snakemake(words: list[str]) -> None:
    arguments = _parser().parse_args(words)
    typed = arguments.config or []
    options = read_options(parse_config(typed), typed)
    config = compose(options.overrides)
    _known("method", options.method_overrides, config.methods)
    for method in options.method_overrides:
        compose([*options.overrides, *options.of_method(method)])
    targets = [*arguments.targets, *(arguments.forcerun or []), options.study]
    # the countries of the hub's data, of a reader's own file, and of what another command makes are not known here
    if config.data.source == "deep_culture_lense" or not Path(config.data.path).exists():
        countries = [target for target in targets if target.startswith("country_")]
    else:
        countries = [f"country_{country}" for country in countries_of(config, known_countries(config.data))]
    check_targets(targets, [*_rules(), *countries], lambda path: path.startswith("results/"), [])


@cache
def _rules() -> list[str]:
    files = [*(ROOT / "workflow/rules").glob("*.smk"), *(ROOT / "yapo/studies").glob("*/rules.smk")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return [*TARGETS, *re.findall(r"^rule (\w+):", text, re.MULTILINE)]


@cache
def _parser():  # type: ignore[no-untyped-def]  # Snakemake has no types
    return get_argument_parser()


@cache
def _make_targets() -> list[str]:
    return re.findall(r"^([a-z0-9-]+):", Path(ROOT / "Makefile").read_text(), re.M)


def _known(what: str, names: object, known: object) -> None:
    for name in names:  # type: ignore[attr-defined]
        if name not in known:  # type: ignore[operator]
            raise ValueError(f"no {what} is called '{name}'")
