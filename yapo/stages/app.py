"""How every stage starts: compose the configuration, refuse what is wrong in one line, run.

``python -m yapo.stages.train country=egypt method=yapo train.lr=1e-3`` takes Hydra overrides; ``--config`` prints the composed
configuration, ``--help`` what can be set.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from yapo.config import Config
from yapo.errors import YapoError, nearest, unknown
from yapo.files import unwritable

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def compose(overrides: Sequence[str]) -> Config:
    """The study that ``conf/`` and the overrides describe, typed and checked.

    Raises:
        YapoError: an unknown key or group option, or an impossible value; the message names the nearest valid name.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _check_overrides(overrides)
    ConfigStore.instance().store(name="schema", node=Config)
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            composed = hydra_compose("config", overrides=list(overrides))
        config = cast(Config, OmegaConf.to_object(composed))
    except (HydraException, OmegaConfBaseException) as error:
        raise YapoError(_one_line(error)) from None
    for name in config.methods:
        if name not in options("method"):
            raise unknown("method", "methods", name, options("method"))
    return config


def options(group: str) -> list[str]:
    """Names that can be chosen in a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def plain(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries."""
    from omegaconf import OmegaConf

    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(config), resolve=True))


def run(stage: Callable[[Config], None], argv: Sequence[str] | None = None) -> None:
    """Entry point of a stage module: exit status 0, or 2 with one line on standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.raiseExceptions = False  # a log on a full disk loses lines; the job decides for itself what it cannot write
    try:
        if "--help" in arguments:
            _print_help(stage)
            return
        config = compose([argument for argument in arguments if argument != "--config"])
        if "--config" in arguments:
            from omegaconf import OmegaConf

            sys.stdout.write(OmegaConf.to_yaml(OmegaConf.structured(config)))
            return
        _limit_threads(config.threads)
        stage(config)
        log.info("took %.1f s of CPU, at most %.0f MB of memory", *_spent())
    except YapoError as error:
        _refuse(error)
    except OSError as error:
        told = unwritable(error.filename or error.filename2 or "an output or log of this job", error)
        if told is None:
            raise
        _refuse(told)


def _refuse(error: YapoError) -> None:
    """End with one line on standard error and exit status 2, also where the disk of a job's log is full."""
    try:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
    sys.exit(2)


def _spent() -> tuple[float, float]:
    """CPU seconds of this process, and the most memory it held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return time.process_time(), peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere


def _limit_threads(threads: int) -> None:
    """One thread per job: the DAG runs many jobs side by side, and threads of tiny matrices cost more than they bring."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        if "torch" in sys.modules:  # it reads the variable when imported
            sys.modules["torch"].set_num_threads(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _print_help(stage: Callable[[Config], None]) -> None:
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir())
    lines = [(sys.modules[stage.__module__].__doc__ or "").strip(), "", "Overrides: key=value. Groups:"]
    lines += [f"  {group}: {', '.join(options(group))}" for group in groups]
    lines += ["", "Print the composed configuration with --config; every key is explained in yapo/config/."]
    sys.stdout.write("\n".join(lines) + "\n")


def _one_line(error: Exception) -> str:
    """What Hydra says, and why."""
    cause = error.__cause__ or error
    reason = " ".join(str(error).split())
    detail = " ".join(str(cause).split("\n")[0].split())
    return reason if detail in reason else f"{reason} {detail}"


def _check_overrides(overrides: Sequence[str]) -> None:
    """Refuse keys that no setting has (Hydra would take them after a +), and group options that have no file."""
    groups, known = [path.name for path in CONF.iterdir() if path.is_dir()], _known_keys()
    for override in overrides:
        key, _, value = override.partition("=")
        key, value = key.lstrip("+~"), value.strip("'\"")
        if key not in known:
            raise YapoError(f"{override}: no setting is called '{key}'; {nearest(key, known)}yapo/config/ explains them all")
        group = "method" if key == "method.name" else key
        if group in groups and value.replace("_", "").isalnum() and value not in options(group):
            raise unknown(group, key, value, options(group))


@cache
def _known_keys() -> list[str]:
    """Every key that an override may name."""
    from omegaconf import OmegaConf

    known = _keys(plain(Config()))
    for path in (CONF / "method").glob("*.yaml"):
        known.append(f"learning_rate.{path.stem}")
        known += [f"method.options.{name}" for name in cast(dict[str, Any], OmegaConf.load(path)).get("options", {})]
    return known


def _keys(tree: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in tree.items():
        keys.append(prefix + key)
        if isinstance(value, dict):
            keys += _keys(value, f"{prefix}{key}.")
    return keys
