"""The files of ``conf/`` as Hydra gets them: text settings are read as text.

YAML 1.1 reads ``no`` as false and ``12e4567`` as a number. A country or a revision may be called so. Here a setting that is a
text (by its type in ``yapo.config``) is the text as written, in a file as on a command line. Everywhere else only ``true`` and
``false`` are truth values.
"""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from yapo.config import Config
from yapo.errors import YapoError

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"

Stamp = tuple[int, int]

_TAG = "tag:yaml.org,2002:"
_PACKAGE = re.compile(r"^#\s*@package\s+(\S+)")
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)


class Kinds(NamedTuple):
    """Dotted names of the settings that hold a text, and of those that hold a list."""

    texts: frozenset[str]
    text_lists: frozenset[str]
    lists: frozenset[str]


@cache
def kinds() -> Kinds:
    """Return which settings are texts and lists, read off the types of ``Config``; ``x.*`` stands for the values of a mapping."""
    texts, text_lists, lists = set[str](), set[str](), set[str]()
    ahead: list[tuple[str, Any]] = [("", Config)]
    while ahead:
        name, hint = ahead.pop()
        parts = [part for part in get_args(hint) if part is not NoneType]
        if is_dataclass(hint) and isinstance(hint, type):
            ahead += [(f"{name}.{key}".lstrip("."), part) for key, part in get_type_hints(hint).items()]
        elif _is_text(hint):
            texts.add(name)
        elif get_origin(hint) is dict:
            ahead.append((f"{name}.*", parts[1]))
        elif get_origin(hint) is list:
            lists.add(name)
            if _is_text(parts[0]):
                text_lists.add(name)
        elif len(parts) == 1:  # or null
            ahead.append((name, parts[0]))
    return Kinds(frozenset(texts), frozenset(text_lists), frozenset(lists))


def _is_text(hint: Any) -> bool:
    return hint is str or (get_origin(hint) is Literal and all(isinstance(value, str) for value in get_args(hint)))


def groups() -> list[str]:
    """Names of the config groups."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir())


def group_options(group: str) -> list[str]:
    """Names that can be chosen in a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def as_text(override: str) -> str:
    """Return a Hydra override in which the text of a text setting, or of a list of them, stands in quotes.

    What is in quotes already, refers to another setting (``${...}``) or is ``null`` stays as it is.
    """
    key, equals, value = override.partition("=")
    name, value = key.lstrip("+"), value.strip()
    if not equals or name in groups() or "${" in value:
        return override
    if _is_kind(name, kinds().texts):
        is_none = value == "null" and name != "country"  # a country may be called so
        return override if is_none or _QUOTED.fullmatch(value) else f"{key}={quoted(value)}"
    inner = value[1:-1]
    if (
        name in kinds().text_lists
        and value.startswith("[")
        and value.endswith("]")
        and not re.search(r"""['"\[\]{}()\\]""", inner)
    ):
        return f"{key}=[{','.join(quoted(part.strip()) for part in inner.split(',') if part.strip())}]"
    return override


def quoted(text: str) -> str:
    """Return a text as Hydra reads it back, whatever is in it; only ``${...}`` keeps its meaning."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text) + "'"


def stamp_of(path: Path) -> Stamp:
    """Return what tells one state of a file from another."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@cache
def read_conf(path: Path, _stamp: Stamp) -> tuple[str | None, dict[str, Any]]:
    """Read one file of ``conf/``; the stamp changes with the file.

    Returns:
        The ``@package`` of its first lines, where it has one, and its settings.

    Raises:
        YapoError: it is not YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise YapoError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    group = path.parent.name if path.parent != CONF else ""
    header = (_PACKAGE.match(line) for line in text.splitlines() if line.startswith("#"))
    package = next((found[1] for found in header if found), None)
    prefix = group if package is None else "" if package == "_global_" else package
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return package, {}
        if not isinstance(node, MappingNode):
            raise YapoError(f"{path}: holds no settings; write key: value lines")
        _keep_texts(node, prefix)
        settings = dict(loader.construct_document(node))
    except (yaml.YAMLError, ValueError) as error:
        raise YapoError(f"{path}: not YAML ({' '.join(str(error).split())}); mend it there") from None
    if group == "experiment":
        if package != "_global_":
            raise YapoError(f"{path}: begin it with the line `# @package _global_`, without which its settings are put elsewhere")
        named = settings.setdefault("experiment", path.stem)
        if named != path.stem:
            raise YapoError(f"{path}: experiment: {named}: would write into another experiment's results; write {path.stem}")
    return package, settings


def _keep_texts(node: Node, name: str) -> None:
    """Make plain scalars of text settings texts, whatever they look like."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            _keep_texts(value, f"{name}.{key.value}".lstrip("."))
    elif isinstance(node, SequenceNode) and name in kinds().text_lists:
        for part in node.value:
            if isinstance(part, ScalarNode):
                part.tag = f"{_TAG}str"
    elif isinstance(node, ScalarNode) and _is_kind(name, kinds().texts) and node.tag != f"{_TAG}null":
        node.tag = f"{_TAG}str"


def _is_kind(name: str, names: frozenset[str]) -> bool:
    return name in names or f"{name.rpartition('.')[0]}.*" in names


class _Loader(yaml.SafeLoader):
    """Safe YAML with the truth values of YAML 1.2, exponents without a point, no dates, and no key twice."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, ScalarNode) and key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (f"{_TAG}bool", f"{_TAG}float", f"{_TAG}timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
