"""Say in a few words why Snakemake runs a job."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TEXTS = rf"(?:{_TEXT}(?:,{_TEXT})*|<nothing exclusive>)"
_PARAMS = re.compile(rf"before: ({_TEXTS}) now: ({_TEXTS}) $")
_FOLLOWS = "Input files updated by another job: "  # said only of a job that has no cause of its own
_FILES = {
    "Missing output files: ": "missing",
    "Incomplete output files: ": "cut off by an earlier run",
    "Updated input files: ": "changed",
    _FOLLOWS: "made anew by another job",
}
_SENTENCES = {
    "Forced execution": "it is asked for",
    "Set of input files has changed": "it reads other files than before",
    "Code has changed": "its rule changed",
    "Params have changed": "its settings changed",
    "Software environment definition has changed": "its software environment changed",
    "Rules with": "it always runs",
}
_STARTS = "|".join(map(re.escape, [*_FILES, *_SENTENCES]))
_AT_MOST = 3  # settings or files that are named


class Clause(NamedTuple):
    """One of the causes of a job: ``text`` names files, which differ between jobs that have the same ``kind``."""

    kind: str
    text: str


def clauses(reason: str) -> list[Clause]:
    """Return the causes in a reason as Snakemake words it; other jobs count where there is none beside them."""
    found: list[Clause] = []
    for part in re.split(rf"; (?={_STARTS})", reason):
        start = next((start for start in (*_FILES, *_SENTENCES) if part.startswith(start)), None)
        if start in _FILES:
            found.append(Clause(start, _files(part.removeprefix(start).split(", "), _FILES[start])))
        elif start == "Params have changed" and (texts := _PARAMS.search(part)):
            changed = _settings(*(re.findall(_TEXT, text) for text in texts.groups()))
            found.append(Clause(changed, changed))
        else:
            text = _SENTENCES.get(start or "", part)
            found.append(Clause(text, text))
    own = [clause for clause in found if clause.kind != _FOLLOWS]
    return own or found


def _files(names: list[str], state: str) -> str:
    first = min(names)
    return f"{first} is {state}" if len(names) == 1 else f"{first} and {len(names) - 1} more are {state}"


def _settings(before: list[str], now: list[str]) -> str:
    """Return which of the params changed, which are texts ``name = value``."""
    old, new = (dict(_named(ast.literal_eval(text)) for text in texts) for texts in (before, now))
    names = sorted({**old, **new})
    said = [_change(name, old.get(name), new.get(name)) for name in names[:_AT_MOST]]
    more = [f"{len(names) - _AT_MOST} more changed"] if len(names) > _AT_MOST else []
    return " and ".join([*said, *more])


def _named(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    return (name.strip(), value.strip()) if equals else ("a setting", "")


def _change(name: str, old: str | None, new: str | None) -> str:
    if name.endswith((".py", ".j2", ".css")) or (name.isidentifier() and name[0].isupper()) or not (old or new):
        return f"{name} changed"  # code, a template or a class of settings: the values are digests
    if old is None:
        return f"{name} is new ({new})"
    return f"{name} was {old}, is gone" if new is None else f"{name} was {old}, is {new}"
