"""Stage ``dspa_study_table``: DSPA's studies over all their countries, as tables, figure and finding."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.evaluation.judges.label import chat_label
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, studied
from yapo.stages.tables import table_options
from yapo.steering.method import read_options
from yapo.steering.methods.dspa.method import Options
from yapo.steering.methods.dspa.variants import own_values
from yapo.studies.dspa_study.chat_table import CHAT, FLOPS, chat_cells, chat_table, flops_table
from yapo.studies.dspa_study.figure import study_figure
from yapo.studies.dspa_study.finding import study_finding
from yapo.studies.dspa_study.table import NAME, OWN, skipped_sizes, study_cells, study_table, with_own

READS = ("report", "judge", "method", "studies.dspa_study.countries", "studies.dspa_study.pairs")


def main(config: Config) -> None:
    """Writes ``tables/dspa_study[_chat|_flops].*``, ``figures/dspa_study.*`` and the finding; ``method`` is dspa."""
    study, options = Study.of(config), table_options(config)
    named = config.studies.dspa_study.countries
    countries = studied(config, known_countries(config.data), named)
    if not countries:
        raise YapoError(
            f"studies.dspa_study.countries={config.studies.dspa_study.countries}: none of them is in this experiment; name one"
        )

    def rows(name: str) -> pd.DataFrame:
        files = [study.of_study(name, language, country) for country, language in countries.items()]
        return pd.concat([read_table(path) for path in files], ignore_index=True)

    studied_rows = rows(NAME)
    cells = study_cells(studied_rows, options)
    available = round(cells.loc[cells["change"] == OWN, "pairs"].mean())
    cells = with_own(cells, own_values(read_options(Options, config.method.options), available))
    chat_options = replace(options, scorer=chat_label(config.judge))
    chat, flops = chat_cells(rows("dspa_chat"), chat_options), rows("dspa_flops")
    made = study_table(cells, options, skipped_sizes(studied_rows, config.studies.dspa_study.pairs))
    tables = {NAME: made, CHAT: chat_table(chat, chat_options), FLOPS: flops_table(flops, options)}
    write_tables(tables, study.root / "tables")
    write_figure(study_figure(cells, options.note), study.root / "figures" / NAME)
    study_finding(cells, chat, flops, (options.scorer, chat_options.scorer)).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
