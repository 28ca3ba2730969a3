"""``yapo metrics``: one's own accuracies in the paper's layout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import yapo as package
from tests.cli.command import refused, yapo

ROWS = [
    ("arabic", "egypt", "caa", 80.0, 40.0),
    ("arabic", "egypt", "yapo", 80.0, 60.0),
    ("spanish", "peru", "caa", 70.0, 30.0),
    ("spanish", "peru", "yapo", 70.0, 70.0),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accuracies.csv"
    pd.DataFrame(ROWS, columns=["language", "country", "method", "localized", "nonlocalized"]).to_csv(path, index=False)
    return path


def test_the_table_has_the_papers_layout_and_digits(capfd: pytest.CaptureFixture[str], file: Path) -> None:
    done = yapo(capfd, "metrics", file, "-o", file.with_name("table.csv"))
    assert (done.status, done.err) == (0, "")
    rca, pnlg = done.out.strip().split("\n\n")
    assert [line.split() for line in rca.splitlines()] == [
        ["RCA,", "mcq"],
        ["caa", "yapo"],
        ["arabic", "53.3", "68.6"],  # 2·80·40/120 and 2·80·60/140
        ["spanish", "42.0", "70.0"],
        ["Overall", "47.7", "69.3"],  # of the printed rows
    ]
    assert [line.split() for line in pnlg.splitlines()][2] == ["arabic", "0.667", "0.286"]
    pd.testing.assert_frame_equal(pd.read_csv(file.with_name("table.csv")), package.metrics_table(pd.read_csv(file)))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("cannot be read", "with a header")),
        ("language,country\na,b\n", ("scores lack the column 'method'",)),
        ("language,country,method,localized,nonlocalized\na,b,c,80,x\n", ("nonlocalized=x",)),
        ("language,country,method,localized,nonlocalized\na,b,c,0.8,0.4\n", ("top=1",)),
    ],
)
def test_what_is_no_table_of_accuracies(capfd: pytest.CaptureFixture[str], file: Path, text: str, parts: tuple[str, ...]) -> None:
    file.write_text(text, encoding="utf-8")
    refused(capfd, "metrics", file, parts=("accuracies.csv: ", *parts))
    refused(capfd, "metrics", file.with_name("nosuch.csv"), parts=("nosuch.csv: cannot be read",))
