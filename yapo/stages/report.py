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
from yapo.reporting.numbers import read_numbers
from yapo.reporting.report_page import report_page
from yapo.stages.app import run
from yapo.stages.commands import as_overrides, commands, own_settings
from yapo.stages.provenance import training_runs
from yapo.stages.study_facts import study_facts

FIRST = "equal_kl"  # the study whose figure opens the report, where it is reported
READS = ("report", "judge", "methods", "data", "split.seed", "studies.reported", "train.seed")


def main(config: Config, overrides: Sequence[str]) -> None:
    """Write ``report.html``; ``overrides`` are those that ``config`` was composed from, for its commands."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    validation = [read_table(paths.validation(language_folder, country)) for country, language_folder in countries.items()]
    country, language_folder = next(iter(countries.items()))
    made = training_runs(paths, language_folder, country, config.methods)
    own = own_settings(made, overrides)
    summary, by_language = (
        read_numbers(paths.root / "tables" / f"{name}.csv") for name in ("summary", "table3_rca_pnlg_language")
    )
    first, others = ([name for name in config.studies.reported if (name == FIRST) is opens] for opens in (True, False))
    findings = [
        *(Finding.load(paths.finding(name)) for name in first),
        results_finding(summary, by_language, judge_label(config.judge)),
        training_finding(pd.concat(validation, ignore_index=True)),
        layer_finding(read_json(paths.layer)),
        *(Finding.load(paths.finding(name)) for name in others),
    ]
    text = report_page(
        title=f"Steering vectors: {config.experiment}",
        caption=config.report.note or f"The study {config.experiment} and what it found.",
        findings=findings,
        facts=[
            *study_facts(config, paths, countries, made),
            *((f"{label('method', name)} alone", as_overrides(settings)) for name, settings in own.items()),
            *((finding.title, finding.made) for finding in findings if finding.made),
            ("Packages", ", ".join(f"{name} {version}" for name, version in made[0].versions.items())),
        ],
        commands=commands(config, overrides, own),
        folder=paths.root,
    )
    write_text(paths.root / "report.html", text)


if __name__ == "__main__":
    run(lambda config: main(config, sys.argv[1:]))
