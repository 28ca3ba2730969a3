"""What is typed after ``snakemake``, checked where Snakemake's own answer would be a traceback or a page of options."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence

from yapo.errors import YapoError, nearest

PLUGIN = "snakemake_executor_plugin_slurm"


def check_command_line(words: Sequence[str], *, slurm: bool = False) -> None:
    """End with status 2 and one line where the words cannot be what was meant; the profiles call this.

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


def check_targets(targets: Iterable[str], rules: Iterable[str], is_made: Callable[[str], bool], names: Iterable[str]) -> None:
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
        folders = list(names)
        hint = "".join(nearest(part, folders) for part in target.split("/") if part not in folders)
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
