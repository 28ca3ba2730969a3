"""Stage ``figures``: training curves, layer discovery, accuracy over epochs, λ curves and the summary."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries, role_of
from yapo.files import read_json, read_json_lines
from yapo.paths import Paths
from yapo.reporting.figures import layer_discovery, multiplier_curves, summary
from yapo.reporting.numbers import read_numbers
from yapo.reporting.style import write_figure
from yapo.reporting.training_figures import epoch_accuracy, training_curves
from yapo.stages.app import run

READS = ("report", "methods")


def main(config: Config) -> None:
    """Write ``figures/``: of data for evaluation only, on which nothing is trained or chosen, the summary alone."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    scores, note = read_numbers(paths.root / "tables" / "summary.csv"), config.report.note
    if len(countries) == 1:
        scores = scores.assign(country=next(iter(countries)))
    made = {"summary": summary(scores, note=note)}
    if role_of(config.data) == "train":
        made |= _training_figures(config, paths, countries)
    for name, figure in made.items():
        write_figure(figure, paths.root / "figures" / name)


def _training_figures(config: Config, paths: Paths, countries: dict[str, str]) -> dict[str, Figure]:
    """Return the figures of training, selection and layer discovery."""
    note = config.report.note
    curves = pd.concat(
        [
            read_json_lines(paths.trained(language_folder, country, method) / "curves.jsonl").assign(
                country=country, method=method
            )
            for country, language_folder in countries.items()
            for method in config.methods
        ],
        ignore_index=True,
    )
    validation = pd.concat(
        [read_table(paths.validation(language_folder, c)) for c, language_folder in countries.items()], ignore_index=True
    )
    found = read_json(paths.layer)
    return {
        "training_curves": training_curves(curves, validation, note=note),
        "layer_discovery": layer_discovery(
            pd.DataFrame(found["curves"]), found["layer"], found["select"], note, found["probability"]
        ),
        "epoch_accuracy": epoch_accuracy(validation, note=note),
        "multiplier_curves": multiplier_curves(validation, note=note),
    }


if __name__ == "__main__":
    run(main)
