"""The files of the tables: Markdown, LaTeX, HTML and csv."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from yapo.reporting.main_tables import TABLE_NAMES, build_tables
from yapo.reporting.tables import SUFFIXES, Table, write_tables

from .small_results import ASKED, NOTE, OPTIONS, study


class Page(HTMLParser):
    """Checks that tags nest, and collects the text of cells and the attributes in use."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.directions: set[tuple[str | None, str | None]] = set()
        self.sources: list[str] = []
        self.rows: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.directions.add((found.get("lang"), found.get("dir")))
        self.sources += [str(found[name]) for name in ("src", "href") if name in found]
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_table_has_every_format(tables: dict[str, Table]) -> None:
    assert tuple(tables) == TABLE_NAMES
    for name, table in tables.items():
        assert set(table.texts) == set(SUFFIXES) - ({"tex"} if name == "examples" else set())
        assert all(NOTE in text for suffix, text in table.texts.items() if suffix != "csv")


def test_csv_holds_the_numbers_of_the_frame(tables: dict[str, Table]) -> None:
    for table in tables.values():
        rows = list(csv.DictReader(StringIO(table.texts["csv"])))
        assert len(rows) == len(table.data)
        assert list(rows[0]) == list(table.data.columns)
    rows = list(csv.DictReader(StringIO(tables["table1_mcq"].texts["csv"])))
    assert float(rows[0]["value"]) == pytest.approx(tables["table1_mcq"].data["value"].iloc[0], abs=1e-6)


def test_best_value_is_bold_and_parse_failures_are_marked(tables: dict[str, Table]) -> None:
    line = next(line for line in tables["table1_mcq"].texts["md"].splitlines() if "| Egypt |" in line)
    baseline, caa, yapo = [text.strip() for text in line.split("|")[3:6]]
    assert yapo.startswith("**100.0** [") and "**" not in baseline + caa
    assert caa.endswith("†") and "†" not in baseline + yapo
    line = next(line for line in tables["table1_mcq"].texts["tex"].splitlines() if "Egypt" in line)
    assert line.count("\\textbf") == 1 and line.count("$^{\\dagger}$") == 1
    assert "20.0% in the marked cells" in tables["table1_mcq"].texts["md"]
    assert "20.0% unparsed" in tables["table1_mcq"].texts["html"]
    assert "†" not in tables["table2_open_ended"].texts["md"]


def test_markdown_tables_are_well_formed(tables: dict[str, Table]) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for table in tables.values():
        html = parser.render(table.texts["md"])
        assert html.count("<table>") == len(re.findall(r"^\| :--", table.texts["md"], re.MULTILINE)) > 0
        bodies = [re.findall(r"<t[hd]", row) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)]
        assert len({len(row) for row in bodies}) == 1  # every row has every column, whatever the completions hold
        Page(html)


def test_latex_is_one_balanced_float(tables: dict[str, Table]) -> None:
    for name, table in tables.items():
        if name == "examples":
            continue
        text = table.texts["tex"]
        begun, ended = re.findall(r"\\begin\{(\w+)\}", text), re.findall(r"\\end\{(\w+)\}", text)
        assert begun == ["table", "tabular", "minipage"] and ended == ["tabular", "minipage", "table"]
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}")
        body = text[text.index("\\toprule") : text.index("\\bottomrule")]
        columns = body.splitlines()[1].count(" & ")
        lines = [line for line in body.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
        assert {line.count(" & ") for line in lines} == {columns}
        assert re.search(r"(?<!\\)%", body) is None
        assert text.isascii()


def test_pages_are_self_contained_and_nest(tables: dict[str, Table]) -> None:
    for table in tables.values():
        page = Page(table.texts["html"])
        assert not page.open
        assert all(source.startswith("#") for source in page.sources)
        assert "http" not in table.texts["html"] and "<script" not in table.texts["html"]


def test_examples_show_each_language_in_its_direction(tables: dict[str, Table]) -> None:
    chosen = tables["examples"].data
    assert chosen.groupby("language")["country"].unique().map(list).to_dict() == {"Arabic": ["egypt"], "Hindi": ["india"]}
    assert set(chosen["variant"]) == {"localized", "nonlocalized"} and set(chosen["method"]) == {"baseline", "caa", "yapo"}
    assert chosen.groupby(["language", "task"])["question_id"].nunique().to_dict() == {
        ("Arabic", "mcq"): 2, ("Arabic", "open_ended"): 3, ("Hindi", "mcq"): 2, ("Hindi", "open_ended"): 3,
    }  # fmt: skip
    page = Page(tables["examples"].texts["html"])
    assert {("ar", "rtl"), ("hi", "ltr")} <= page.directions and ("ar", "ltr") not in page.directions
    assert ASKED["Arabic"] in tables["examples"].texts["html"]
    assert "<ol><li>a | b &amp; &lt;c&gt;</li><li>x</li>" in tables["examples"].texts["html"]


def test_equal_input_gives_equal_bytes_and_row_order_does_not_matter(tables: dict[str, Table], tmp_path: Path) -> None:
    evaluation, items = study()
    again = build_tables(evaluation.sample(frac=1, random_state=0), items.sample(frac=1, random_state=0), OPTIONS)
    first, second = write_tables(tables, tmp_path / "a"), write_tables(again, tmp_path / "b")
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_study_without_nonlocalized_results_still_writes_every_file(tmp_path: Path) -> None:
    evaluation, items = study()
    tables = build_tables(evaluation[evaluation["setting"] == "localized"], items, OPTIONS)
    assert tables["table5_rca_pnlg_country"].data.empty
    assert "No rows:" in tables["table3_rca_pnlg_language_instance"].texts["html"]
    assert len(write_tables(tables, tmp_path)) == 4 * len(TABLE_NAMES) - 1


def test_rises_and_falls_have_two_colours(tables: dict[str, Table]) -> None:
    html = tables["table1_mcq"].texts["html"]
    assert re.search(r'class="delta rise">\+\d', html) and re.search(r'class="delta fall">−\d', html)
    assert re.search(r'class="delta (rise|fall)">[+−]0\.0<', html) is None
