"""The study's configuration, its countries, and what each rule's jobs read of it."""

import json
import os
import shlex
import sys
from glob import glob
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from yapo.processes import RUN, clear_temporary

# Before the imports that take seconds: a run that is killed leaves its temporary folders behind, and the next run deletes them.
clear_temporary(Path(workflow.snakemake_tmp_dir), "snakemake*")
clear_temporary(Path(workflow.sourcecache.runtime_cache_path), "*")

from snakemake.utils import validate

from yapo.data.atlas import ATLAS_DIR
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.lease import devices
from yapo.stages.app import compose, plain
from yapo.stages.download import wanted
from yapo.stages.study import Study, countries_of, layers_to_read, spec, studied
from yapo.warm import start as start_warm_process

validate(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml")

EXPERIMENT = f"experiment={config['experiment']}"
OVERRIDES = [EXPERIMENT, *shlex.split(config["overrides"])]
if config["countries"]:
    OVERRIDES.append(f"countries=[{','.join(config['countries'])}]")
OWN_OVERRIDES = {
    method: shlex.split(text) for method, text in config["method_overrides"].items()
}

try:
    CONFIG = compose(OVERRIDES)
    PLAIN_CONFIG = plain(CONFIG)
    COUNTRIES = countries_of(CONFIG, known_countries(CONFIG.data))
    STUDIED = {
        name: studied(CONFIG, known_countries(CONFIG.data), part["countries"])
        for name, part in PLAIN_CONFIG["studies"].items()
        if "countries" in part
    }
    WANTED = wanted(CONFIG)
    METHOD_CONFIG = {
        method: plain(
            compose([*OVERRIDES, f"method={method}", *OWN_OVERRIDES.get(method, [])])
        )
        for method in CONFIG.methods
    }
except YapoError as error:
    sys.exit(f"error: {error}")

STUDY = Study.of(CONFIG)
TASKS, SETTINGS, METHODS = CONFIG.tasks, CONFIG.settings, CONFIG.methods
PYTHON = sys.executable
ARGUMENTS = shlex.join(OVERRIDES)
GPUS = len(devices())
workflow.global_resources.setdefault("gpu", GPUS)
os.environ[RUN] = str(os.getpid())
# Jobs are children of this process, with no shell in between, so that the kernel can end them with it. Every rule is one command.
shell.prefix("exec ")


onstart:
    if not GPUS:
        start_warm_process()


wildcard_constraints:
    language="|".join(sorted(set(COUNTRIES.values()))),
    country="|".join(COUNTRIES),
    method="|".join(METHODS),


def reads(stage):
    """What decides a stage's result, for ``params``: as a function, since JSON's braces are not wildcards."""
    text = spec(stage, PLAIN_CONFIG)
    return lambda wildcards: text


def untracked(text):
    """A param whose change reruns nothing: Snakemake does not compare params that depend on ``threads``."""
    return lambda wildcards, threads: text


def per_method(wildcards, threads):
    """Overrides of one method, as typed after ``method=``; what they decide is in its spec."""
    return shlex.join(
        [f"method={wildcards.method}", *OWN_OVERRIDES.get(wildcards.method, [])]
    )


def on_top(overrides, more):
    """Overrides with others in their place. Hydra takes a group's choice once; its settings go with the choice they were for."""
    keys = {override.partition("=")[0] for override in more}
    kept = [
        override
        for override in overrides
        if not keys & {(key := override.partition("=")[0]), key.partition(".")[0]}
    ]
    return [*kept, *more]


def local_files(path, pattern):
    """Files of a model or data folder, or the file itself; nothing where it is a hub id."""
    place = Path(path)
    return [place] if place.is_file() else sorted(place.glob(pattern))


DOWNLOADED = [STUDY.download] if WANTED else []
if "data" in WANTED:
    DATA_FILES = DOWNLOADED
elif CONFIG.data.source == "atlas":
    DATA_FILES = local_files(ATLAS_DIR, "*.yaml")
else:
    DATA_FILES = [
        path for path in local_files(CONFIG.data.path, "**/*") if path.is_file()
    ]


def model_files(config):
    """The weights, where they are files of the user's or of the project's."""
    return local_files(config.model.path, "*.safetensors")


def sae_files(config):
    """The autoencoders of all layers, likewise."""
    return sorted(
        path
        for place in glob(config.sae.path.replace("LAYER", "*"))
        for path in local_files(place, "*.safetensors")
    )


MODEL_FILES = [*model_files(CONFIG), *DOWNLOADED]
SAE_FILES = sae_files(CONFIG)
SAE_NAMES = ["cfg.json", "sae_weights.safetensors", "curves.jsonl", "quality.json"]
TRAINED_SAES = [
    STUDY.sae(layer) / name
    for layer in (layers_to_read(CONFIG) if CONFIG.sae.trained else [])
    for name in SAE_NAMES
]
SAE_FILES = [*SAE_FILES, *TRAINED_SAES, *DOWNLOADED]


def of_country(pattern, **more):
    """Files of one country's jobs: ``pattern`` with its language and country left as wildcards."""
    return expand(
        str(STUDY.root / "{{language}}/{{country}}" / pattern),
        task=TASKS,
        setting=SETTINGS,
        **more,
    )


def checked(study, files):
    """Input files of a study, refused if it cannot take the methods; the check imports torch, so it waits until it is asked."""

    def ask(wildcards):
        from yapo.stages.study_methods import check_methods

        try:
            check_methods(CONFIG, study)
        except YapoError as error:
            sys.exit(f"error: {error}")
        return files

    return ask


def keep(files):
    """Activations can be large: kept only where the study says so."""
    return files if CONFIG.keep_activations else temp(files)


def of_study(name):
    """One file of every country."""
    return [
        STUDY.country(language, country) / name
        for country, language in COUNTRIES.items()
    ]


def kept_files(country):
    """Every file that a country's branch leaves behind."""
    folder = STUDY.country(COUNTRIES[country], country)
    cells = [f"{task}-{setting}.safetensors" for task in TASKS for setting in SETTINGS]
    return [
        *TRAINED_SAES,
        *[
            folder / "train" / method / name
            for method in METHODS
            for name in [*cells, "curves.jsonl", "run.json"]
        ],
        *[folder / "vectors" / method / name for method in METHODS for name in cells],
        *[folder / "pairs" / f"{task}.parquet" for task in TASKS],
        folder / "validation.parquet",
        folder / "evaluation.parquet",
        folder / "judge.json",
    ]
