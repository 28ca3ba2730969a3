"""Tables of a small study: contents, marks, every format, equal bytes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from yapo.errors import YapoError
from yapo.evaluation.metrics import rca
from yapo.reporting.main_tables import TABLE_NAMES, build_tables
from yapo.reporting.names import label, ordered
from yapo.reporting.tables import SUFFIXES, Table, TableOptions, write_tables

NOTE = "Embedded world: shows that the machinery works."
OPTIONS = TableOptions(resamples=60, scorer="offline reference", note=NOTE)
COUNTRIES = {"Arabic": ["egypt", "morocco"], "Hindi": ["india"]}
ASKED = {"Arabic": "ماذا يأكل الناس؟", "Hindi": "लोग क्या खाते हैं?"}


def study(methods: tuple[str, ...] = ("baseline", "caa", "yapo"), facts: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test results in which yapo is always right, and caa is unparsed on one question of Egypt."""
    rng = np.random.default_rng(0)
    items, rows = [], []
    for language, countries in COUNTRIES.items():
        for country in countries:
            for fact in range(facts):
                for phrasing in range(2):
                    for variant in ("localized", "nonlocalized"):
                        item = {"language": language, "country": country, "topic": "meals", "category": "meals"}
                        item |= {"question_id": f"meals-{fact}", "variant": variant, "phrasing": phrasing}
                        item |= {"question": ASKED[language], "answer": "a | b & <c>", "answer_index": 0, "control_index": 1}
                        items.append({**item, "options": ["a | b & <c>", "x", "y", "z"]})
                        for task in ("mcq", "open_ended"):
                            for setting in (variant, "both"):
                                for method in methods:
                                    right = method == "yapo" or bool(rng.random() < (0.6 if variant == "localized" else 0.3))
                                    unparsed = (method, task, country, fact, setting) == ("caa", "mcq", "egypt", 0, "localized")
                                    score = float(right and not unparsed)
                                    rows.append(
                                        {
                                            name: item[name]
                                            for name in ("language", "country", "variant", "question_id", "phrasing")
                                        }
                                        | {"task": task, "setting": setting, "method": method, "multiplier": 1.0, "epoch": 2}
                                        | {"score": score if task == "mcq" else 10 * score, "parsed": not unparsed}
                                        | {
                                            "completion": "\\boxed{1}\nsecond | line",
                                            "answer": "a | b & <c>",
                                            "question": ASKED[language],
                                        }
                                    )
    return pd.DataFrame(rows), pd.DataFrame(items)


@pytest.fixture(scope="module")
def evaluation() -> pd.DataFrame:
    return study()[0]


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return build_tables(*study(), OPTIONS)


def cell(table: Table, **where: str) -> pd.Series:
    rows = table.data
    for column, value in where.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


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


def test_cells_carry_value_interval_counts_and_difference(tables: dict[str, Table], evaluation: pd.DataFrame) -> None:
    found = cell(tables["table1_mcq"], country="egypt", setting="localized", method="caa")
    rows = evaluation.query("country == 'egypt' and setting == 'localized' and method == 'caa' and task == 'mcq'")
    assert found["value"] == pytest.approx(100 * rows["score"].mean())
    assert found["low"] <= found["value"] <= found["high"]
    assert (found["n"], found["n_facts"], found["parse_failure_rate"]) == (10, 5, pytest.approx(0.2))
    base = cell(tables["table1_mcq"], country="egypt", setting="localized", method="baseline")
    assert found["delta_vs_baseline"] == pytest.approx(found["value"] - base["value"])
    assert cell(tables["table1_mcq"], country="egypt", setting="both", method="caa")["n"] == 20


def test_average_rows_are_means_over_countries(tables: dict[str, Table]) -> None:
    data = tables["table2_open_ended"].data.query("language == 'Arabic' and setting == 'both' and method == 'baseline'")
    by_country = data.set_index("country")
    assert by_country.loc["Average", "value"] == pytest.approx(by_country.loc[["egypt", "morocco"], "value"].mean())
    assert (by_country.loc["Average", "n"], by_country.loc["Average", "n_facts"]) == (40, 5)


def test_both_readings_of_rca(tables: dict[str, Table], evaluation: pd.DataFrame) -> None:
    rows = evaluation.query("country == 'india' and task == 'mcq' and method == 'baseline' and setting != 'both'")
    pairs = rows.pivot(index=["question_id", "phrasing"], columns="setting", values="score")
    where = {"metric": "rca", "country": "india", "task": "mcq", "method": "baseline"}
    macro = cell(tables["table5_rca_pnlg_country"], **where)["value"]
    instance = cell(tables["table5_rca_pnlg_country_instance"], **where)["value"]
    assert macro == pytest.approx(100 * float(rca(pairs["localized"].mean(), pairs["nonlocalized"].mean())))
    assert instance == pytest.approx(100 * rca(pairs["localized"], pairs["nonlocalized"]).mean())
    assert macro > instance


def test_csv_holds_the_numbers_of_the_frame(tables: dict[str, Table]) -> None:
    for table in tables.values():
        rows = list(csv.DictReader(StringIO(table.texts["csv"])))
        assert len(rows) == len(table.data)
        assert list(rows[0]) == list(table.data.columns)
    rows = list(csv.DictReader(StringIO(tables["table1_mcq"].texts["csv"])))
    assert float(rows[0]["value"]) == pytest.approx(tables["table1_mcq"].data["value"].iloc[0], abs=1e-6)


def test_order_of_rows_and_columns(tables: dict[str, Table]) -> None:
    text = tables["table1_mcq"].texts["md"]
    assert text.count("| Language | Country | Baseline | CAA | YaPO |") == 3
    places = [text.index(name) for name in ("## Localized", "## Non-localized", "## Both")]
    assert places == sorted(places)
    localized = text[places[0] : places[1]]
    names = re.findall(r"^\| (\w*) \| (\*?\w+\*?) \|", localized, re.MULTILINE)[1:]
    assert names == [("Arabic", "Egypt"), ("", "Morocco"), ("", "*Average*"), ("Hindi", "India"), ("", "*Average*")]


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


def test_pnlg_is_best_closest_to_zero(tables: dict[str, Table]) -> None:
    text = tables["table3_rca_pnlg_language"].texts["md"]
    part = text[text.index("## PNLG, multiple choice") :]
    line = next(line for line in part.splitlines() if "Hindi" in line)
    assert "**0.000**" in line  # yapo is always right: no gap


def test_scorer_is_named_wherever_open_ended_scores_stand(tables: dict[str, Table]) -> None:
    for name in TABLE_NAMES:
        shows = name not in ("table1_mcq", "table7_dataset", "option_positions")
        assert ("offline reference" in tables[name].texts["html"]) == shows


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


def test_data_set_table_adds_up(tables: dict[str, Table]) -> None:
    data = tables["table7_dataset"].data.set_index(["language", "country", "variant"])["items"]
    assert data["Arabic", "egypt", "localized"] == 10
    assert data["Arabic", "Subtotal", "total"] == 40
    assert data["Total", "Total", "total"] == 60
    assert "| Total |  | 30 | 30 | 60 |" in tables["table7_dataset"].texts["md"].replace("*", "")


def test_positions_of_options_are_shares_of_test_rows() -> None:
    evaluation, items = study(methods=("baseline", "caa"))
    egypt = items["country"] == "egypt"
    items.loc[egypt, "answer_index"] = 2
    unread = (evaluation["method"] == "caa") & (evaluation["country"] == "india")
    evaluation.loc[unread, "completion"] = "no number"
    other = evaluation[evaluation["task"] == "mcq"].assign(completion="\\boxed{3}")
    tables = build_tables(evaluation, items, OPTIONS, "first way", {"second way": other})
    data = tables["option_positions"].data
    assert (data.groupby(["way", "setting", "chosen_by"])["value"].sum().round(6) == 100).all()
    found = data[data["setting"] == "both"].set_index(["way", "chosen_by", "position"]).sort_index()
    assert found.loc[("first way", "right answer"), "value"].round(3).tolist() == [66.667, 0, 33.333, 0, 0]
    assert found.loc[("first way", "caa"), "value"].round(3).tolist() == [66.667, 0, 0, 0, 33.333]
    assert found.loc[("second way", "caa"), "value"].tolist() == [0, 0, 100, 0, 0]
    assert found.loc[("second way", "caa", "3"), "difference"] == pytest.approx(200 / 3)
    assert found.loc[("second way", "caa", "1"), "difference_high"] < 0
    assert found.loc[("first way", "baseline", "1"), "n"] == 60 and found.loc[("first way", "baseline", "1"), "n_facts"] == 5
    text = tables["option_positions"].texts["md"]
    assert "| Chosen by | 1 | 2 | 3 | 4 | Not parsed |" in text
    assert "## Both; second way" in text and text.count("| *Right answer* |") == 6


def test_without_multiple_choice_the_table_of_positions_has_no_rows() -> None:
    evaluation, items = study(methods=("baseline",), facts=1)
    table = build_tables(evaluation[evaluation["task"] == "open_ended"], items, TableOptions(resamples=0))["option_positions"]
    assert table.data.empty
    assert "No rows: multiple choice was not evaluated." in table.texts["md"]


def test_another_way_stands_beside_the_first_and_changes_none_of_its_numbers(tables: dict[str, Table]) -> None:
    evaluation, items = study()
    other = evaluation[evaluation["task"] == "mcq"].assign(score=0.0)
    both = build_tables(evaluation, items, OPTIONS, "first way", {"second way": other})
    for name in ("summary", "table1_mcq", "table3_rca_pnlg_language", "table5_rca_pnlg_country_instance"):
        data = both[name].data
        own = data[data["way"] != "second way"].drop(columns="way").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, tables[name].data)
        assert set(data.loc[data["task"] == "open_ended", "way"]) <= {""}
        assert "second way" in both[name].texts["tex"] and "; first way" in both[name].texts["html"]
        assert "second way" not in tables[name].texts["html"]
    assert both["table2_open_ended"].texts == tables["table2_open_ended"].texts


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


def test_a_method_of_ones_own_and_no_baseline() -> None:
    tables = build_tables(*study(methods=("my_method", "yapo")), OPTIONS)
    assert "| Language | Country | YaPO | My method |" in tables["table1_mcq"].texts["md"]
    assert tables["table1_mcq"].data["delta_vs_baseline"].isna().all()
    assert 'class="delta"' not in tables["table1_mcq"].texts["html"]


def test_no_resamples_leave_intervals_out() -> None:
    tables = build_tables(*study(), TableOptions(resamples=0))
    assert "[" not in tables["table1_mcq"].texts["md"] and "bootstrap" not in tables["table1_mcq"].texts["md"]


def test_cells_that_are_all_right_have_an_honest_interval(tables: dict[str, Table]) -> None:
    """Five facts, all right: as many as 52 % of all facts may be wrong ones."""
    for name, top in (("table1_mcq", 100), ("table2_open_ended", 10)):
        found = cell(tables[name], country="egypt", setting="localized", method="yapo")
        assert (found["value"], found["low"], found["high"]) == pytest.approx((top, 0.478 * top, top), abs=0.001 * top)
        assert "Clopper and Pearson" in tables[name].texts["md"]
    where = {"country": "egypt", "task": "mcq", "method": "yapo"}
    found = cell(tables["table5_rca_pnlg_country"], metric="rca", **where)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((100, 47.8, 100), abs=0.1)
    found = cell(tables["table5_rca_pnlg_country"], metric="pnlg", **where)
    assert (found["value"], -found["low"]) == (0, found["high"]) and found["high"] > 0.5
    found = cell(tables["table5_rca_pnlg_country_instance"], metric="rca", **where)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((100, 47.8, 100), abs=0.1)


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_a_study_with_one_task_speaks_of_no_other(task: str) -> None:
    evaluation, items = study(methods=("baseline", "yapo"))
    tables = build_tables(evaluation[evaluation["task"] == task], items, TableOptions(resamples=0, scorer="a scorer"))
    for name in ("summary", "table3_rca_pnlg_language", "table5_rca_pnlg_country_instance", "examples"):
        text = tables[name].texts["md"].lower()
        assert ("open-ended" in text, "multiple-choice" in text or "multiple choice" in text) == (task != "mcq", task == "mcq"), (
            name
        )
        assert ("a scorer" in text) == (task != "mcq")


def test_examples_are_those_on_which_methods_differ() -> None:
    evaluation, items = study(methods=("baseline", "caa"))
    open_ended = evaluation["task"] == "open_ended"
    evaluation.loc[open_ended, "score"] = 10.0
    telling = open_ended & (evaluation["question_id"] == "meals-3") & (evaluation["method"] == "caa")
    evaluation.loc[telling, "score"] = 0.0
    chosen = build_tables(evaluation, items, TableOptions(resamples=0))["examples"].data
    for _, part in chosen[chosen["task"] == "open_ended"].groupby("language"):
        assert "meals-3" in set(part["question_id"])


@pytest.mark.parametrize(
    ("kind", "key", "shown"),
    [
        *(("language", name, name) for name in ("Arabic", "Urdu", "Brazilian Portuguese", "K'iche'", "isiZulu", "old_english")),
        *(("country", *row) for row in (("peru", "Peru"), ("south_korea", "South Korea"), ("guinea-bissau", "Guinea-Bissau"))),
        *(("country", *row) for row in (("uae", "UAE"), ("uk", "UK"), ("de", "DE"), ("ksa", "KSA"), ("iran", "Iran"))),
        ("country", "trinidad_and_tobago", "Trinidad and Tobago"),
        ("country", "andorra", "Andorra"),
        *(("method", *row) for row in (("yapo", "YaPO"), ("mine", "MINE"), ("my_method", "My method"))),
        ("country", "Average", "Average"),
    ],
)
def test_names_that_do_not_ship_are_shown_as_they_are_written(kind: str, key: str, shown: str) -> None:
    assert label(kind, key) == shown


@pytest.mark.parametrize("kind", ["task", "setting", "variant"])
def test_words_of_a_results_file_that_are_none(kind: str) -> None:
    with pytest.raises(YapoError, match=rf"^{kind}=essay: choose one of "):
        ordered(kind, ["essay"])


def test_rises_and_falls_have_two_colours(tables: dict[str, Table]) -> None:
    html = tables["table1_mcq"].texts["html"]
    assert re.search(r'class="delta rise">\+\d', html) and re.search(r'class="delta fall">−\d', html)
    assert re.search(r'class="delta (rise|fall)">[+−]0\.0<', html) is None


def spoilt(column: str, value: object) -> pd.DataFrame:
    """Test results with one cell changed."""
    evaluation = study(methods=("baseline", "yapo"), facts=1)[0]
    evaluation[column] = evaluation[column].astype(object)
    evaluation.loc[3, column] = value
    return evaluation


NEEDED = ("language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "score", "parsed")
BAD: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    **{f"no {name}": (lambda name=name: study(facts=1)[0].drop(columns=name), f"lack the column '{name}'") for name in NEEDED},
    **{
        f"{name} missing": (lambda name=name: spoilt(name, None), f"{name} is missing in row 3")
        for name in ("language", "country", "task", "setting", "method", "variant", "question_id")
    },
    "no rows": (lambda: study(facts=1)[0].head(0), "no rows"),
    "an unknown task": (lambda: spoilt("task", "essay"), "task=essay; it must be one of mcq, open_ended"),
    "an unknown setting": (lambda: spoilt("setting", "all"), "setting=all; it must be one of"),
    "an unknown variant": (lambda: spoilt("variant", "both"), "variant=both; it must be one of"),
    "a score in words": (lambda: spoilt("score", "right"), "score or parsed holds what is no number"),
    "a score below 0": (lambda: spoilt("score", -1.0), "score=-1 of"),
    "a score above 10": (lambda: spoilt("score", 11.0), "score=11 of"),
    "an infinite score": (lambda: spoilt("score", np.inf), "score=inf of"),
    "accuracy in percent": (lambda: study(facts=1)[0].assign(score=100.0), "score=100 of mcq; it must lie in 0..1"),
    "a row twice": (lambda: pd.concat([study(facts=1)[0]] * 2, ignore_index=True), "stands there twice; give each answer once"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_results_that_cannot_be_are_refused(case: tuple[Callable[[], pd.DataFrame], str]) -> None:
    make, said = case
    with pytest.raises(YapoError) as caught:
        build_tables(make(), study(facts=1)[1], TableOptions(resamples=0))
    message = str(caught.value)
    assert said in message and "\n" not in message and "; " in message
