"""Stage ``report``: one page with everything a study found."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.judges.label import judge_label
from yapo.files import read_json, write_text
from yapo.paths import Paths
from yapo.reporting.finding import Finding
from yapo.reporting.main_findings import layer_finding, results_finding, training_finding
from yapo.reporting.names import label
from yapo.reporting.report_page import report_page
from yapo.stages.app import run
from yapo.stages.provenance import (
    TrainingRun,
    as_overrides,
    autoencoder_name,
    commands,
    learning_rates,
    model_name,
    own_settings,
    schedule,
    training_runs,
)

READS = (
    "report",
    "judge",
    "methods",
    "data",
    "split.seed",
    "studies.reported",
    "train.seed",
)

LIMITS = (
    "Vectors are trained once, with one seed, except where a study says otherwise. Intervals are over questions, and those of "
    "vectors in features over countries: they do not hold what another training would change.",
    "Epoch and λ are chosen on validation questions; nothing is chosen on test questions. For the tables every method answers "
    "each test question once, greedily; transfer asks them again, of vectors of other countries, at what validation chose for "
    "those vectors. Which method is called the best is read from the same answers that its value is.",
    "All questions of a country come from one source. What a vector has learned is that source's picture of the country.",
)


def main(config: Config, overrides: Sequence[str]) -> None:
    """Write ``report.html``; ``overrides`` are those that ``config`` was composed from, for its commands."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    validation = [read_table(paths.validation(language, country)) for country, language in countries.items()]
    country, language = next(iter(countries.items()))
    made = training_runs(paths, language, country, config.methods)
    own = own_settings(made, overrides)
    tables = paths.root / "tables"
    findings = [
        results_finding(
            pd.read_csv(tables / "summary.csv"),
            pd.read_csv(tables / "table3_rca_pnlg_language.csv"),
            judge_label(config.judge),
        ),
        training_finding(pd.concat(validation, ignore_index=True)),
        layer_finding(read_json(paths.layer)),
        *(Finding.load(paths.finding(name)) for name in config.studies.reported),
    ]
    text = report_page(
        title=f"Steering vectors: {config.experiment}",
        caption=config.report.note or f"The study {config.experiment} and what it found.",
        findings=findings,
        facts=[
            *_facts(config, paths, countries, made),
            *((f"{label('method', name)} alone", as_overrides(settings)) for name, settings in own.items()),
            *((finding.title, finding.made) for finding in findings if finding.made),
            ("Packages", ", ".join(f"{name} {version}" for name, version in made[0].versions.items())),
        ],
        commands=commands(config, overrides, own),
        limits=LIMITS,
        folder=paths.root,
    )
    write_text(paths.root / "report.html", text)


def _facts(config: Config, paths: Paths, countries: dict[str, str], made: Sequence[TrainingRun]) -> list[tuple[str, str]]:
    """Return the rows of the report's provenance."""
    items, split = read_table(paths.items), read_table(paths.split)
    own = items[items["country"].isin(countries)]
    facts = split[split["question_id"].isin(own["question_id"])]["split"].value_counts()
    return [
        ("Model", f"{model_name(made[0])} ({read_json(paths.layer)['model']['digest']})"),
        ("Autoencoder", autoencoder_name(made[0])),
        ("Layer", f"{made[0].layer} (0-based)"),
        ("Countries", ", ".join(label("country", name) for name in countries)),
        ("Methods", ", ".join(label("method", name) for name in config.methods)),
        ("Data", f"{config.data.path or config.data.source}: {len(own):,} items of {own['question_id'].nunique():,} facts"),
        ("Split by fact", ", ".join(f"{name} {facts[name]:,}" for name in ("train", "validation", "test"))),
        ("Training", schedule(made)),
        ("Learning rates", learning_rates(made)),
        (
            "Seeds",
            f"data {config.data.seed}, split {config.split.seed}, training {config.train.seed}, report {config.report.seed}",
        ),
        ("Judge", judge_label(config.judge)),
    ]


if __name__ == "__main__":
    run(lambda config: main(config, sys.argv[1:]))
