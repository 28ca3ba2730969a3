"""Stage ``report``: one page with everything a study found."""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.judges.label import judge_label
from yapo.files import read_json, write_text
from yapo.reporting.finding import Finding
from yapo.reporting.main_findings import layer_finding, results_finding, training_finding
from yapo.reporting.names import label
from yapo.reporting.page import report_page
from yapo.stages.app import run
from yapo.stages.study import Study, countries_of

LIMITS = (
    "Vectors are trained once, with one seed, except where a study says otherwise: intervals are over questions.",
    "Epoch and λ are chosen on validation questions; the test questions are answered once, greedily, by every method alike.",
    "All questions of a country come from one source. What a vector has learned is that source's picture of the country.",
)


def main(config: Config) -> None:
    """Writes ``report.html``."""
    study = Study.of(config)
    countries = countries_of(config, known_countries(config.data))
    validation = [read_table(study.validation(language, country)) for country, language in countries.items()]
    tables = study.root / "tables"
    findings = [
        results_finding(
            pd.read_csv(tables / "summary.csv"),
            pd.read_csv(tables / "table3_rca_pnlg_language.csv"),
            judge_label(config.judge),
        ),
        training_finding(pd.concat(validation, ignore_index=True)),
        layer_finding(read_json(study.layer)),
        *(Finding.load(study.finding(name)) for name in config.studies.reported),
    ]
    text = report_page(
        title=f"Steering vectors: {config.experiment}",
        caption=config.report.note or f"The study {config.experiment} and what it found.",
        findings=findings,
        facts=_facts(config, study, countries),
        commands=_commands(config),
        limits=LIMITS,
        folder=study.root,
    )
    write_text(study.root / "report.html", text)


def _facts(config: Config, study: Study, countries: dict[str, str]) -> list[tuple[str, str]]:
    """What the study was made with, as its own files tell."""
    country, language = next(iter(countries.items()))
    made: dict[str, Any] = read_json(study.trained(language, country, config.methods[0]) / "run.json")
    items, split = read_table(study.items), read_table(study.split)
    own = items[items["country"].isin(countries)]
    facts = split[split["question_id"].isin(own["question_id"])]["split"].value_counts()
    sae = config.sae.path or f"{config.sae.release} {config.sae.id}".strip() or "trained by the study"
    return [
        ("Model", f"{config.model.path} ({read_json(study.layer)['model']['digest']}), {config.model.dtype}"),
        ("Autoencoder", sae.replace("LAYER", str(made["layer"]))),
        ("Countries", ", ".join(label("country", name) for name in countries)),
        ("Methods", ", ".join(label("method", name) for name in config.methods)),
        ("Data", f"{config.data.path or config.data.source}: {len(own):,} items of {own['question_id'].nunique():,} facts"),
        ("Split by fact", ", ".join(f"{name} {facts[name]:,}" for name in ("train", "validation", "test"))),
        ("Training", f"{config.train.epochs} epochs of batches of {config.train.batch_size}, β = {config.train.beta:g}"),
        (
            "Seeds",
            f"data {config.data.seed}, split {config.split.seed}, training {config.train.seed}, report {config.report.seed}",
        ),
        ("Judge", judge_label(config.judge)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in made["versions"].items())),
    ]


def _commands(config: Config) -> str:
    own = "" if config.experiment == "embedded" else f"--config experiment={shlex.quote(config.experiment)} -- "
    goals = ["all_tables", "all_studies" if config.studies.reported else "report"]
    return "\n".join(f"snakemake --cores all {own}{goal}" for goal in goals)


if __name__ == "__main__":
    run(main)
