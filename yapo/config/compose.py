"""A study's configuration: what ``conf/`` and overrides such as ``train.lr=1e-3`` say, composed by Hydra, typed and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from yapo.config import Config, MethodConfig
from yapo.config.conf_files import CONF, Stamp, as_text, group_options, groups, kinds, read_conf, stamp_of
from yapo.config.hydra_errors import sentence
from yapo.config.schema import build, schema
from yapo.errors import YapoError, nearest, unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

    T = TypeVar("T", bound=DataclassInstance)

# Words for a setting that other programs use.
ALSO_CALLED = {
    "learning_rate": "lr", "num_epochs": "epochs", "n_epochs": "epochs", "bs": "batch_size", "wd": "weight_decay",
    "lambda": "multipliers", "lambdas": "multipliers", "warmup": "warmup_steps", "max_grad_norm": "grad_clip",
    "max_new_tokens": "max_new_tokens_open_ended", "name_or_path": "path", "torch_dtype": "dtype",
    "attn_implementation": "attention", "commit": "revision", "n_features": "width",
}  # fmt: skip
MOST_ENTRIES = 1000  # of a list on the command line: Hydra takes seconds to read so many
# Keys that choose the data.
_DATA = ("data", "data.source", "data.path")
_stored: dict[Path, Stamp] = {}  # files of ``conf/`` given to Hydra, with their state
_methods: dict[str, dict[str, Any]] = {}  # settings of each file in ``conf/method``
_mention_methods: set[Path] = set()  # other files that choose or change the method
_compositions: dict[tuple[str, ...], DictConfig] = {}  # by the choices of files, without ``method=``
_FILE = re.compile(r"\w+=[\w-]+$")
_VALUE = re.compile(r"[\w.]+=")


def compose(overrides: Sequence[str]) -> Config:
    """Return the study that ``conf/`` and the overrides describe, typed and checked.

    Lists of countries in an experiment's file belong to its data. If the overrides choose other data, they are unset unless they
    are typed too.

    Raises:
        YapoError: an unknown key or group option, or an impossible value; the message names the nearest valid name.
    """
    _check_overrides(overrides)
    config = _composed(overrides)
    typed = {override.partition("=")[0].lstrip("+") for override in overrides}
    if typed.intersection(_DATA) and config.data.source != "preferences":
        without_data = _composed([override for override in overrides if override.partition("=")[0].lstrip("+") not in _DATA])
        if (without_data.data.source, without_data.data.path) != (config.data.source, config.data.path):
            _forget_countries(config, typed)
    studies = [
        (f"studies.{study}.{key}", names)
        for study, settings in plain(config)["studies"].items()
        for key, names in (settings.items() if isinstance(settings, dict) else ())
        if key.endswith("methods")
    ]
    for key, names in (
        ("methods", config.methods),
        ("learning_rate", config.learning_rate),
        ("method_options", config.method_options),
        *studies,
    ):
        for name in names:
            if name not in group_options("method"):
                raise unknown("method", key, name, group_options("method"))
    return config


def changed(settings: T, changes: Mapping[str, Any]) -> T:
    """Return settings of one group with some of them changed, checked as if they had been configured so.

    Raises:
        YapoError: a name is unknown, or a value impossible.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    kind = type(settings)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema(kind)), asdict(settings), dict(changes))
    except OmegaConfBaseException as error:
        raise YapoError(sentence(error, [])) from None
    return build(kind, asdict(cast(Any, OmegaConf.to_object(merged))))


def _composed(overrides: Sequence[str]) -> Config:
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    faults = _store_conf()
    try:
        return build(Config, asdict(cast(Any, OmegaConf.to_object(_with_tuned_options(overrides)))))
    except RecursionError:
        deepest = max(overrides, key=lambda override: override.count("[") + override.count("{"))
        name = deepest.partition("=")[0]
        raise YapoError(f"{name}: has too many brackets in brackets; give a plain list") from None
    except (HydraException, OmegaConfBaseException, ValueError, OverflowError) as error:
        for name, fault in faults.items():
            if f"'{name}'" in str(error):
                raise fault from None
        raise YapoError(sentence(error, [as_text(override) for override in overrides])) from None


def _with_tuned_options(overrides: Sequence[str]) -> DictConfig:
    """Compose, and give the method the options that the experiment tuned, but for those that are typed."""
    config = _with_method(overrides)
    method = config.method
    for name, value in config.method_options.get(method.name, {}).items():
        if name not in method.options:
            raise unknown("option", f"method_options.{method.name}", name, list(method.options))
        if not any(re.match(rf"[+~]*method\.options\.{name}\b", override) for override in overrides):
            method.options[name] = value
    return config


def _with_method(overrides: Sequence[str]) -> DictConfig:
    """Compose the choices of files by Hydra, once for all studies that share them, and set the single values here.

    Hydra takes a third of a second each time. It composes whatever is not plain: additions, deletions, mistakes.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = groups()
    files = [override for override in overrides if _FILE.match(override) and override.partition("=")[0] in known]
    values = [override for override in overrides if override not in files]
    methods = [override for override in files if override.startswith("method=")]
    rest = tuple(override for override in files if override not in methods)
    method = methods[-1].partition("=")[2] if methods else None
    keys = [override.partition("=")[0] for override in values]
    if not all(map(_VALUE.match, values)) or {*keys} & {*known, "method.name"} or len(methods) > 1:
        return _by_hydra(overrides)
    if method and (_mention_methods or method not in _methods):
        return _by_hydra(overrides)
    if rest not in _compositions:
        _compositions[rest] = _by_hydra(rest)
    config = deepcopy(_compositions[rest])
    if method:
        config.method = OmegaConf.merge(OmegaConf.structured(schema(MethodConfig)), _methods[method])
    try:
        for override in _parsed(values):
            OmegaConf.update(config, override.key_or_group, override.value())
    except (HydraException, OmegaConfBaseException, ValueError):
        return _by_hydra(overrides)
    return config


def _parsed(values: Sequence[str]) -> list[Override]:
    """Read overrides by Hydra's grammar; raises as Hydra does."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parsed: list[Override] = OverridesParser.create().parse_overrides([as_text(value) for value in values])
    for text, override in zip(values, parsed, strict=True):
        if override.is_sweep_override():
            raise OverrideParseException(text, "several values")
    return parsed


def _by_hydra(overrides: Sequence[str]) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize

    with initialize(version_base="1.3", config_path=None):
        return cast("DictConfig", hydra_compose("config", overrides=[as_text(override) for override in overrides]))


def _store_conf() -> dict[str, YapoError]:
    """Give Hydra the files of ``conf/``; return what is wrong with those that cannot be read, by ``group/name``."""
    from hydra.core.config_store import ConfigStore

    store, faults = ConfigStore.instance(), dict[str, YapoError]()
    if not _stored:
        store.store(name="schema", node=schema(Config))
    for path in [*CONF.glob("*.yaml"), *CONF.glob("*/*.yaml")]:
        group, stamp = path.parent.name if path.parent != CONF else None, stamp_of(path)
        if _stored.get(path) == stamp:
            continue
        try:
            package, settings = read_conf(path, stamp)
        except YapoError as fault:
            faults[f"{group}/{path.stem}" if group else path.stem] = fault
            continue
        store.store(name=path.stem, node=settings, group=group, package=package)
        _stored[path] = stamp
        _compositions.clear()
        if group == "method":
            _methods[path.stem] = settings
        elif group and ("method" in settings or "method" in str(settings.get("defaults"))):
            _mention_methods.add(path)
    return faults


def _forget_countries(config: Config, typed: set[str]) -> None:
    """Unset the lists of countries that are not among the typed settings."""
    parts = {f"studies.{name}": getattr(config.studies, name) for name in vars(config.studies)}
    for prefix, part in {"": config, "discovery": config.discovery, **parts}.items():
        name = f"{prefix}.countries".lstrip(".")
        if hasattr(part, "countries") and not {name, prefix, prefix.partition(".")[0]} & typed:
            part.countries = None if prefix == "discovery" else []


def plain(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries."""
    return asdict(config)


def _check_overrides(overrides: Sequence[str]) -> None:
    """Refuse what is no override, keys that no setting has (Hydra would take them after a +), and options without a file."""
    known = _known_keys()
    for override in overrides:
        key, equals, value = override.partition("=")
        name, value = key.lstrip("+~"), value.strip().strip("'\"")
        if name not in known:
            raise YapoError(
                f"{override}: no setting is called '{name}'; {_nearest_key(name, known)}yapo/config/ explains them all"
            )
        if not equals and not key.startswith("~"):
            raise YapoError(f"{override}: has no value; write {name}=VALUE")
        if name in kinds().lists and not value.startswith(("[", "${")):
            raise YapoError(f"{override}: give a list, as {name}=[{value}]")
        entries = value.count(",") + 1
        if value.startswith(("[", "{")) and entries > MOST_ENTRIES:
            raise YapoError(f"{name}={value[:20]}...: has {entries:,} entries; give {MOST_ENTRIES:,} at most")
        group = "method" if name == "method.name" else name
        if equals and group in groups() and not value.startswith(("{", "$")) and value not in group_options(group):
            raise unknown(group, name, value, group_options(group))


def _nearest_key(name: str, known: Sequence[str]) -> str:
    """Return a hint at a known key: by another word for it, else by likeness within its group, else among all."""
    group, dot, last = name.rpartition(".")
    also = f"{group}{dot}{ALSO_CALLED.get(last, last)}"
    if also in known:
        return f"did you mean {also}? "
    siblings = [key for key in known if key.rpartition(".")[0] == group] if group in known else []
    return nearest(name, siblings) or nearest(name, known) or nearest(last, known)


@cache
def _known_keys() -> list[str]:
    """Return every key that an override may name."""
    known = _keys(plain(Config()))
    for path in (CONF / "method").glob("*.yaml"):
        _, settings = read_conf(path, stamp_of(path))
        known.append(f"learning_rate.{path.stem}")
        known += [f"method.options.{name}" for name in settings.get("options", {})]
    return known


def _keys(tree: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in tree.items():
        keys.append(prefix + key)
        if isinstance(value, dict):
            keys += _keys(value, f"{prefix}{key}.")
    return keys
