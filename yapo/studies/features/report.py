"""Stage ``features_table``: what vectors do in features, over all countries."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.files import write_text
from yapo.models.sae_release import listed, neuronpedia
from yapo.reporting.names import label
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.inputs import read_layer
from yapo.stages.study import Study, studied
from yapo.stages.study_methods import check_methods, methods_with_vectors
from yapo.stages.tables import table_options
from yapo.studies.features.figure import overlap_figure, spectrum_figure
from yapo.studies.features.finding import features_finding, features_index
from yapo.studies.features.pages import INDEX
from yapo.studies.features.table import NAME, TOP, features_tables, sorted_rows

READS = ("sae", "report", "methods", "studies.features")

OVERLAP, SPECTRUM = "features_overlap", "features_spectrum"


def main(config: Config) -> None:
    """Writes ``tables/features*``, ``figures/features_*``, ``features/index.html`` and ``studies/features.json``."""
    check_methods(config, "features")
    measured = methods_with_vectors(config)
    study, wanted, options = Study.of(config), config.studies.features, table_options(config)
    countries = studied(config, known_countries(config.data), wanted.countries)
    if not countries:
        raise YapoError(f"studies.features.countries={wanted.countries}: none of them is in this experiment; name one that is")
    vectors, tops = (
        sorted_rows(pd.concat([read_table(study.of_study(name, language, c)) for c, language in countries.items()]))
        for name in (NAME, TOP)
    )
    left_out = ", ".join(label("method", method) for method in config.methods if method not in measured)
    if left_out:
        options = replace(options, note=f"Left out: {left_out}, a map and no vector. {options.note}".strip())
    tables = features_tables(vectors, tops, wanted.top, options)
    write_tables(tables, study.root / "tables")
    paged = vectors[vectors["setting"].isin(wanted.settings)]
    write_figure(overlap_figure(paged, options.note), study.root / "figures" / OVERLAP)
    write_figure(spectrum_figure(paged, options.note), study.root / "figures" / SPECTRUM)
    figures = (OVERLAP, SPECTRUM)
    page_id = neuronpedia(listed(config.sae, read_layer(config))) if config.sae.release else ""
    write_text(study.root / NAME / INDEX, features_index(tops, page_id, figures, config.report.note, left_out))
    features_finding(tables, wanted.settings, figures).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
