"""Start of every stage: compose the configuration, refuse mistakes in one line, run.

``python -m yapo.stages.train country=egypt method=yapo train.lr=1e-3`` takes Hydra overrides; ``--config`` prints the composed
configuration, ``--help`` what can be set.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from types import FunctionType, MethodType
from typing import Any, cast

from yapo.config import Config
from yapo.config.compose import compose, plain
from yapo.config.conf_files import group_options, groups
from yapo.errors import YapoError, refuse
from yapo.files import unwritable
from yapo.redaction import RedactingFormatter
from yapo.stages.spent import peak_memory_mb

log = logging.getLogger(__name__)

# Settings that no ``READS`` has to declare: paths, speed, limits, and values that also arrive as an input file.
ALWAYS_READABLE = (
    "experiment", "results", "country", "countries", "methods", "adapters.rows", "tasks", "settings", "threads", "store", "data",
    "discovery.layer", "discovery.candidates", "sae.trained", "sae.min_explained_variance", "*.layer_in", "*.layer_out",
    "studies.*.countries", "studies.*.methods", "studies.*.layers",
)  # fmt: skip


class DeclaredSettings:
    """Settings that refuse a key that the stage's ``READS`` does not declare: a change to it would not rerun the stage."""

    def __init__(self, settings: object, reads: Sequence[str], prefix: str = "") -> None:
        self._settings, self._reads, self._prefix = settings, reads, prefix

    def __getattr__(self, name: str) -> Any:
        derived = getattr(type(self._settings), name, None)  # of settings, each of which must be named
        if isinstance(derived, property) and derived.fget is not None:
            return derived.fget(self)
        if isinstance(derived, FunctionType):
            return MethodType(derived, self)
        value, key = getattr(self._settings, name), f"{self._prefix}{name}"
        if any(key == known or fnmatch(key, known) for known in (*self._reads, *ALWAYS_READABLE)):
            return value
        if any(_holds(key, known) for known in (*self._reads, *ALWAYS_READABLE)):
            return DeclaredSettings(value, self._reads, f"{key}.")
        raise AssertionError(f"a stage reads the setting {key}, which its READS does not name")


def _holds(key: str, pattern: str) -> bool:
    """Return whether a pattern names settings of the group ``key``: ``studies.*.countries`` some of ``studies.gap``."""
    names, parts = key.split("."), pattern.split(".")
    return parts[0] == names[0] and len(parts) > len(names) and all(map(fnmatch, names, parts))


def run(stage: Callable[[Config], None], argv: Sequence[str] | None = None) -> None:
    """Run a stage module: exit status 0, or 2 with one line on standard error.

    Args:
        stage: its main function. It is given the settings that its module's ``READS`` names, and those of ``ALWAYS_READABLE``.
        argv: Hydra overrides; those of the command line by default.
    """
    reads: Sequence[str] = getattr(sys.modules[stage.__module__], "READS", ("*",))
    arguments = list(sys.argv[1:] if argv is None else argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # a log on a full disk loses lines; the job decides for itself what it cannot write
    try:
        if "--help" in arguments:
            _print_help(stage)
            return
        config = compose([argument for argument in arguments if argument != "--config"])
        if "--config" in arguments:
            from omegaconf import OmegaConf

            sys.stdout.write(OmegaConf.to_yaml(OmegaConf.create(plain(config))))
            return
        _limit_threads(config.threads)
        stage(cast(Config, DeclaredSettings(config, reads)))
        log.info("took %.1f s of CPU, at most %.0f MB of memory", *_spent())
    except YapoError as error:
        refuse(error)
    except OSError as error:
        told = unwritable(error.filename or error.filename2 or "an output or log of this job", error)
        if told is None:
            raise
        refuse(told)


def _spent() -> tuple[float, float]:
    """CPU seconds of this process, and the most memory it held, in MB."""
    return time.process_time(), peak_memory_mb()


def _limit_threads(threads: int) -> None:
    """Limit this job to its share of threads: jobs run side by side, and small matrices gain nothing from threads."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        if "torch" in sys.modules:  # it reads the variable when imported
            sys.modules["torch"].set_num_threads(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _print_help(stage: Callable[[Config], None]) -> None:
    lines = [(sys.modules[stage.__module__].__doc__ or "").strip(), "", "Overrides: key=value. Groups:"]
    lines += [f"  {group}: {', '.join(group_options(group))}" for group in groups()]
    lines += ["", "Print the composed configuration with --config; every key is explained in yapo/config/."]
    sys.stdout.write("\n".join(lines) + "\n")
