"""The study's configuration, its countries, and what each rule's jobs read of it."""

import contextlib
import json
import logging
import os
import re
import shlex
import sys
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from yapo.processes import RUN, clear_temporary, put_interpreter_first

# Before the imports that take seconds: a run that is killed leaves its temporary folders behind, and the next run deletes them.
clear_temporary(Path(workflow.snakemake_tmp_dir), "snakemake*")
clear_temporary(Path(workflow.sourcecache.runtime_cache_path), "*")

from yapo.data.sources import known_countries, role_of
from yapo.errors import YapoError
from yapo.lease import devices
from yapo.config.compose import compose, plain
from yapo.dag.compared_countries import compared_countries
from yapo.dag.downloads import hub_downloads
from yapo.dag.command_line import check_targets, slurm_number
from yapo.dag.input_files import (
    data_files,
    files_in,
    imported_files,
    model_files,
    sae_files,
)
from yapo.dag.options import read_options
from yapo.dag.reruns import result_inputs
from yapo.paths import Paths
from yapo.dag.adapters import check_adapters
from yapo.dag.scope import countries_of, layers_to_read, discovery_countries, studied
from yapo.dag.data_use import check_data_use
from yapo.studies.base import FOLDER as STUDY_FOLDER
from yapo.studies.base import get_study, table_files
from yapo.studies.registry import STUDIES
from yapo.warm import start as start_warm_process


@contextlib.contextmanager
def one_line_refusals():
    """End as a stage does if what is done here finds bad input: one line, exit status 2."""
    try:
        yield
    except YapoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


with one_line_refusals():
    OPTIONS = read_options(config, workflow.config_settings.config_args or ())
    OVERRIDES = OPTIONS.overrides
    CONFIG = compose(OVERRIDES)
    PLAIN_CONFIG = plain(CONFIG)
    KNOWN = known_countries(CONFIG.data)
    COUNTRIES = countries_of(CONFIG, KNOWN)
    discovery_countries(CONFIG, KNOWN)
    check_data_use(CONFIG, KNOWN)
    check_adapters(CONFIG)
    TEST_ONLY = role_of(CONFIG.data) == "test"
    STUDIED = {
        name: studied(CONFIG, KNOWN, PLAIN_CONFIG["studies"][name].get("countries", []))
        for name in STUDIES
    }
    WANTED = hub_downloads(CONFIG)
    for method in OPTIONS.method_overrides:
        if method not in CONFIG.methods:
            raise YapoError(
                f"method_overrides={method}: is not trained in this study; add it to methods={CONFIG.methods}, or leave it out"
            )
    COMPARED = {
        (method, country): compared_countries(CONFIG, method, country, KNOWN)
        for method in CONFIG.methods
        for country in COUNTRIES
    }
    METHOD_CONFIG = {
        method: plain(compose([*OVERRIDES, *OPTIONS.of_method(method)]))
        for method in CONFIG.methods
    }

PATHS = Paths.of(CONFIG)
TASKS, SETTINGS, METHODS = CONFIG.tasks, CONFIG.settings, CONFIG.methods
ADAPTERS = CONFIG.adapters.rows
ADAPTER_FILES = ["adapter_model.safetensors", "adapter_config.json"]
# Test answers of a country, by each way to answer multiple choice.
EVALUATIONS = [
    PATHS.evaluation("{language}", "{country}", way).name
    for way in ["", *CONFIG.other_ways]
]
THREADS = CONFIG.threads
# The node that plans jobs for Slurm often has no GPU: there the variables of profiles/slurm say what jobs may ask for.
with one_line_refusals():
    GPUS = slurm_number("YAPO_SLURM_GPUS", len(devices()))
    MODEL_MEMORY = slurm_number("YAPO_SLURM_MEM_MB", 32000)
workflow.global_resources.setdefault("gpu", GPUS)
os.environ[RUN] = str(os.getpid())
# For tables of jobs: Arrow's own allocator keeps several times the memory that they need.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# Jobs are children of this process, with no shell in between, so that the kernel can end them with it. Every rule is one command.
shell.prefix("exec ")
logging.raiseExceptions = False  # on a full disk Snakemake's own log loses lines; without this each is a page on the screen


onstart:
    if not GPUS:
        start_warm_process()


def alternatives(names):
    """A pattern of these texts and no others, whatever is in them."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    language=alternatives(sorted(set(COUNTRIES.values()))),
    country=alternatives(COUNTRIES),
    method=alternatives(METHODS),


put_interpreter_first()
OVERRIDES_OF = {method: shlex.join(OPTIONS.of_method(method)) for method in METHODS}


def overrides_of_all(wildcards, threads):
    """Overrides of every stage, for a command. A function of ``threads``, so Snakemake does not compare it; ``params`` lists what
    decides the result.
    """
    return shlex.join(OVERRIDES)


def overrides_of_method(wildcards):
    """The settings of one method's training, for a command."""
    return OVERRIDES_OF[wildcards.method]


def for_model(minutes):
    """Resources of a job that loads the model; a job that ran out of time or memory comes back with more of both."""
    slurm = {
        "slurm_partition": os.environ.get("YAPO_SLURM_GPU_PARTITION"),
        "gpu_model": os.environ.get("YAPO_SLURM_GPU_MODEL") if GPUS else None,
    }
    return {
        "gpu": min(1, GPUS),
        "mem_mb": lambda wildcards, attempt: MODEL_MEMORY * (1 + attempt) // 2,
        "runtime": lambda wildcards, attempt: minutes * attempt,
        **{name: value for name, value in slurm.items() if value},
    }


def settings_and_code(module, config=PLAIN_CONFIG):
    """Return what decides a stage's result, one text each, for ``params``: Snakemake tells which of them changed."""
    return [
        constant(f"{name} = {value}")
        for name, value in result_inputs(module, config).items()
    ]


def settings_and_code_by_method(module, configs=METHOD_CONFIG):
    """Texts for ``params`` of a stage that works on one method; those that differ between methods are functions of the wildcards.

    What decides another method alone has no text of its own: the first one is repeated, since Snakemake compares sets. So a method
    more in the study changes nothing for the others.
    """
    texts = {
        method: {
            name: f"{name} = {value}"
            for name, value in result_inputs(module, config).items()
        }
        for method, config in configs.items()
    }
    params = []
    for name in dict.fromkeys(name for part in texts.values() for name in part):
        found = {
            method: part.get(name, next(iter(part.values())))
            for method, part in texts.items()
        }
        params.append(
            constant(next(iter(found.values())))
            if len(set(found.values())) == 1
            else lambda wildcards, found=found: found[wildcards.method]
        )
    return params


def constant(text):
    """A text for ``params``, in which Snakemake would take what stands in braces for a wildcard."""
    return (lambda wildcards: text) if "{" in text else text


def replace_overrides(overrides, more):
    """Replace overrides by key. A replaced group also loses its settings."""
    keys = {override.partition("=")[0] for override in more}
    kept = [
        override
        for override in overrides
        if not keys & {(key := override.partition("=")[0]), key.partition(".")[0]}
    ]
    return [*kept, *more]


DOWNLOADED = [PATHS.download] if WANTED else []
with one_line_refusals():
    DATA_FILES = DOWNLOADED if "data" in WANTED else data_files(CONFIG)
    MODEL_FILES = [*model_files(CONFIG), *DOWNLOADED]
    SAE_FILES = sae_files(CONFIG)
SAE_NAMES = ["cfg.json", "sae_weights.safetensors", "curves.jsonl", "quality.json"]
TRAINED_SAES = [
    PATHS.sae(layer) / name
    for layer in (layers_to_read(CONFIG) if CONFIG.sae.trained else [])
    for name in SAE_NAMES
]
SAE_FILES = [*SAE_FILES, *TRAINED_SAES, *DOWNLOADED]


def country_files(pattern, **more):
    """Files of one country's jobs: ``pattern`` with its language and country left as wildcards."""
    return expand(
        str(PATHS.root / "{{language}}/{{country}}" / pattern),
        task=TASKS,
        setting=SETTINGS,
        **more,
    )


def compared_pairs(wildcards):
    """The pairs of other countries that a method's training reads, with their activations."""
    others = COMPARED[wildcards.method, wildcards.country].items()
    return [
        path(folder, country, task)
        for country, folder in others
        for task in TASKS
        for path in (PATHS.pairs, PATHS.store)
    ]


def chosen_vectors(pairs):
    """The chosen vectors of a country, of every method, for some tasks and settings."""
    return country_files(
        "vectors/{method}/{cell}.safetensors",
        method=METHODS,
        cell=[f"{task}-{setting}" for task, setting in pairs],
    )


def refusing(ask):
    """An input function whose refusals are one line."""

    def asked(wildcards):
        with one_line_refusals():
            return ask(wildcards)

    return asked


def behaviour_files(names, pattern, **more):
    """Files of every behaviour; a folder of behaviours that cannot be read is refused when they are asked for."""
    return refusing(lambda wildcards: expand(str(pattern), behaviour=names(), **more))


def refuse_unless_possible(studies, files):
    """Input files, refused if one of the studies cannot be made of the experiment's methods, tasks and settings.

    The check imports torch, so it waits until it is asked.
    """

    def ask(wildcards):
        from yapo.studies.checks import check_study

        with one_line_refusals():
            for study in studies:
                check_study(CONFIG, study)
        return files(wildcards) if callable(files) else files

    return ask


def temp_unless_kept(files):
    """Activations can be large: kept only where the study says so."""
    return files if CONFIG.keep_activations else temp(files)


def of_all_countries(name):
    """One file of every country."""
    return [
        PATHS.country(language, country) / name
        for country, language in COUNTRIES.items()
    ]


def kept_files(country):
    """Every file that a country's branch leaves behind."""
    folder = PATHS.country(COUNTRIES[country], country)
    cells = [f"{task}-{setting}.safetensors" for task in TASKS for setting in SETTINGS]
    learned = [
        *TRAINED_SAES,
        *[
            folder / "train" / method / name
            for method in METHODS
            for name in [*cells, "curves.jsonl", "run.json"]
        ],
        *[folder / "pairs" / f"{task}.parquet" for task in TASKS],
        folder / "validation.parquet",
    ]
    return [
        *([] if TEST_ONLY else learned),
        *[
            folder / "adapters" / adapter / f"{task}-{setting}" / name
            for adapter in ADAPTERS
            for task in TASKS
            for setting in SETTINGS
            for name in [*ADAPTER_FILES, "provenance.json"]
        ],
        *[folder / "vectors" / method / name for method in METHODS for name in cells],
        *[folder / name for name in EVALUATIONS],
        folder / "judge.json",
    ]


CURATION = PATHS.curation


def curation_tables(*names):
    """Files of tables of curation."""
    return expand(
        str(CURATION.tables / "{table}.{kind}"),
        table=names,
        kind=["csv", "md", "tex", "html"],
    )


def curation_files(*names):
    """Files that settings of curation name; one that is missing is refused by the job that reads it."""
    return refusing(
        lambda wildcards: [
            file
            for name in names
            if (path := attrgetter(name)(CONFIG.curation))
            for file in files_in(path, "*")
        ]
    )
