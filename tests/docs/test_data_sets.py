"""The table of data sets on their page is made from their records."""

from __future__ import annotations

from yapo.config.conf_files import ROOT, group_options
from yapo.config.curation import NOT_FOR_TRAINING
from yapo.config.data import Source
from yapo.data.sources import DATA_SETS

PAGE = ROOT / "docs" / "own-data.md"
HEAD = ["| `data` | set | licence | role | forms | where to get it |", "| --- | --- | --- | --- | --- | --- |"]


def line(name: Source) -> str:
    """Return the row of a data set."""
    record = DATA_SETS[name]()
    forms = "no items" if record.load is None else " and ".join(record.forms)
    cells = (f"`{name}`", record.title, record.licence or "", record.role, forms, record.origin)
    return f"| {' | '.join(cells)} |"


def test_the_page_shows_what_the_records_say() -> None:
    table = "\n".join([*HEAD, *map(line, DATA_SETS)])
    assert table in PAGE.read_text(encoding="utf-8"), f"put this into {PAGE}:\n{table}"


def test_every_set_has_its_yaml_and_published_ones_a_licence() -> None:
    assert set(DATA_SETS) == set(group_options("data"))
    for name, make in DATA_SETS.items():
        record = make()
        assert record.title
        assert bool(record.load) != bool(record.instead)
        assert record.role == "test" or record.licence not in NOT_FOR_TRAINING
        if name not in ("table", "preferences"):
            assert record.origin
        if name not in ("table", "preferences", "deep_culture_lense"):
            assert record.licence
