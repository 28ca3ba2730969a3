"""Checks of the Snakemake command line, for mistakes that Snakemake answers with a traceback."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from yapo.errors import YapoError, nearest
from yapo.names import COUNTRY_FOLDERS, STUDY_FOLDERS

PLUGIN = "snakemake_executor_plugin_slurm"
_OPENS, _CLOSES = re.compile(r"[\[{(]"), re.compile(r"[\]})]")


def check_command_line(words: Sequence[str], *, slurm: bool = False) -> None:
    """Refuse a command line that cannot be right: one line, status 2. The profiles call this, and the plugin that prints lines.

    Args:
        words: all that stands after ``snakemake``.
        slurm: whether jobs are to be submitted to Slurm, also if no word says so.
    """
    try:
        _check_config(words)
        where = "profiles/slurm" if slurm else "--executor slurm"
        if slurm or _value_of(words, "--executor", "-e") == "slurm":
            if importlib.util.find_spec(PLUGIN) is None:
                raise YapoError(f"{where}: the plugin that submits jobs is not installed; run: pip install -e '.[slurm]'")
            slurm_number("YAPO_SLURM_GPUS", 0)
        profile = _value_of(words, "--workflow-profile")
        if profile not in (None, "none") and not Path(profile).exists():
            raise YapoError(f"--workflow-profile {profile}: no such folder; name one of those in profiles/")
    except YapoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def check_targets(targets: Iterable[str], rules: Iterable[str], is_made: Callable[[str], bool], names: Collection[str]) -> None:
    """Refuse a target that nothing makes.

    Args:
        targets: rules and files that are asked for.
        rules: names of all rules.
        is_made: whether a file is made by some rule, or is there.
        names: countries, languages and methods, which stand in the paths of files.

    Raises:
        YapoError: names the nearest rule, or the nearest name in the path.
    """
    known = sorted(rules)
    for target in targets:
        if target in known or is_made(target):
            continue
        if "/" not in target:
            hint = nearest(target, known) or "docs/run.md lists them; "
            raise YapoError(f"{target}: no such target; {hint}a country is made by country_NAME, a file by its path")
        known_parts = {*names, *STUDY_FOLDERS, *COUNTRY_FOLDERS}
        *folders, _ = target.split("/")
        hint = "".join(nearest(part, names) for part in folders if part not in known_parts)
        raise YapoError(
            f"{target}: no job of this study makes this file; {hint or 'see docs/run.md; '}mind experiment and countries"
        )


def slurm_number(variable: str, default: int) -> int:
    """Return the number that an environment variable of profiles/slurm gives.

    Raises:
        YapoError: it gives something else.
    """
    text = os.environ.get(variable, str(default))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise YapoError(f"{variable}={text}: must be a whole number, 0 or more; correct or unset it")
    return int(text)


def _value_of(words: Sequence[str], *names: str) -> str | None:
    """Return the value of an option, written in one word or in two."""
    found = None
    for n, word in enumerate(words):
        if word in names:
            found = "".join(words[n + 1 : n + 2])
        elif word.startswith(names[0] + "="):
            found = word.partition("=")[2]
    return found


def _check_config(words: Sequence[str]) -> None:
    """Refuse a word after ``--config`` that is no ``key=value``: a target, half a list, a setting for overrides."""
    inside, before = False, ""
    for word in words:
        if word.startswith("-"):
            inside = word in ("--config", "-C")
        elif inside and len(_OPENS.findall(before)) > len(_CLOSES.findall(before)):
            raise YapoError(f"--config {before} {word}: is split at a space; write lists without spaces, or put them in quotes")
        elif inside and re.match(r"[+~]*\w+(\.\w+)+=", word):
            raise YapoError(f'--config {word}: is a setting; put it into overrides, as in: --config overrides="{word}"')
        elif inside and not re.match(r"[a-zA-Z_]\w*=", word):
            raise YapoError(
                f"--config {word}: is no KEY=VALUE; put -- before the target, as in: --config experiment=smoke -- all_tables"
            )
        before = word if inside else ""
