"""Stage ``report`` of curation: what every step kept and dropped."""

from __future__ import annotations

from yapo.config import Config
from yapo.curation.report import funnel_figure, funnel_page, funnel_tables
from yapo.files import write_text
from yapo.paths import Paths
from yapo.reporting.report_page import figure_address
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_dropped, read_kept

READS = ("curation.examples",)


def main(config: Config) -> None:
    """Write ``funnel.html``, ``figures/funnel`` and the tables ``funnel``, ``dropped`` and ``examples``."""
    paths, most = Paths.of(config).curation, config.curation.examples
    kept, dropped = read_kept(config, "variants"), read_dropped(config)
    write_tables(funnel_tables(kept, dropped, most), paths.tables)
    write_figure(funnel_figure(kept, dropped), paths.figure)
    write_text(paths.report, funnel_page(kept, dropped, most, figure_address(paths.figure.parent, paths.figure.name)))


if __name__ == "__main__":
    run(main)
