"""Checks of the Snakemake command line, for mistakes that Snakemake answers with a traceback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Collection, Iterable, Sequence

from yapo.errors import YapoError, nearest
from yapo.names import COUNTRY_FOLDERS, STUDY_FOLDERS

PLUGIN = "snakemake_executor_plugin_slurm"


def check_command_line(words: Sequence[str], *, slurm: bool = False) -> None:
    """Refuse a command line that cannot be right: one line, status 2. The profiles call this.

    Args:
        words: all that stands after ``snakemake``.
        slurm: whether jobs are to be submitted to Slurm.
    """
    try:
        _check_config(words)
        if slurm and importlib.util.find_spec(PLUGIN) is None:
            raise YapoError("profiles/slurm: the plugin that submits jobs is not installed; run: pip install -e '.[slurm]'")
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


def _check_config(words: Sequence[str]) -> None:
    """Refuse a word after ``--config`` that is no ``key=value``: most often the target."""
    inside = False
    for word in words:
        if word.startswith("-"):
            inside = word in ("--config", "-C")
        elif inside and "=" not in word:
            raise YapoError(
                f"--config {word}: is no KEY=VALUE; put -- before the target, as in: --config experiment=smoke -- all_tables"
            )
