"""Stage ``human_sheet``: the csv file on which people rate answers."""

from __future__ import annotations

from yapo.config import Config
from yapo.files import write_text
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.studies.open_answers import SHEET
from yapo.studies.open_answers.human_sheet import rated_answers, sheet_text
from yapo.studies.write_report import read_rows

READS = ("studies.open_answers.sheet_answers", "studies.open_answers.seed")


def main(config: Config) -> None:
    """Write the sheet of all countries of the study."""
    study = config.studies.open_answers
    answers = rated_answers(read_rows(config, "open_answers"))
    write_text(Paths.of(config).root / SHEET, sheet_text(answers, study.sheet_answers, study.seed))


if __name__ == "__main__":
    run(main)
