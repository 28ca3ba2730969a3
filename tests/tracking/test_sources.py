"""Trainings read from the files of a study, without MLflow, and the reasons why some cannot be read."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tracking.study_files import step_row, write_curve, write_scores
from yapo.tracking.sources import WINDOW, read_method

ROW = step_row(2, 0.5)
BAD_LINES = {
    "no JSON": b"{nonsense",
    "a line cut off": json.dumps(ROW).encode()[:40],
    "no UTF-8": b'{"task": "\xff\xfe"}',
    "an empty line": b"",
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "nested beyond all sense": b"[" * 100_000,
    "a number beyond all sense": json.dumps(ROW).replace("0.5", "1" * 5000).encode(),
    **{
        name: json.dumps({**ROW, **change}).encode()
        for name, change in {
            "an unknown task": {"task": "../../mcq"},
            "an unknown setting": {"setting": "everything"},
            "a setting that is a list": {"setting": ["both"]},
            "an unknown kind": {"kind": "steps"},
            "a loss in words": {"loss": "low"},
            "a loss that is a list": {"loss": [0.5]},
            "a loss that is true": {"loss": True},
            "a step below 0": {"step": -1},
            "half a step": {"step": 1.5},
            "a step in words": {"step": "two"},
            "a step beyond all sense": {"step": 10**30},
            "an epoch that is no number": {"epoch": math.nan},
        }.items()
    },
    **{
        f"no {key}": json.dumps({name: value for name, value in ROW.items() if name != key}).encode()
        for key in ("task", "kind", "epoch")
    },
}


def test_lines_that_are_no_rows(yapo: Path) -> None:
    before = json.dumps(step_row(1, 0.25)).encode()
    for name, line in BAD_LINES.items():
        (yapo / "curves.jsonl").write_bytes(before + b"\n" + line + b"\n" + before.replace(b'"step": 1', b'"step": 3') + b"\n")
        records, (problem,) = read_method(yapo)
        assert [record.name for record in records] == ["egypt/yapo/mcq/both"], name
        assert {step for series, step in records[0].metrics if series == "loss"} == {1, 3}, name
        assert problem.startswith(f"{yapo / 'curves.jsonl'}, line 2: not a row of a training curve ("), name
        assert "\n" not in problem and problem.endswith("delete the file and train again"), name


SCORES = {
    "method": "yapo", "task": "mcq", "setting": "both", "epoch": 1, "multiplier": 1.0, "score": 0.5, "parse_failure_rate": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("change", [{"score": "high"}, {"method": 3}, {"epoch": "last"}, {"score": [0.5]}, {"multiplier": "x"}])
def test_a_table_of_scores_that_are_none_costs_only_itself(yapo: Path, change: dict[str, object]) -> None:
    path = yapo.parents[1] / "validation.parquet"
    pd.DataFrame([{**SCORES, **change}]).to_parquet(path)
    records, (problem,) = read_method(yapo)
    assert len(records) == 2
    assert problem.startswith(f"{path}: not a table of scores (") and problem.endswith("; delete it and run its stage again")


def test_scores_of_a_behaviour_are_no_mistake(yapo: Path) -> None:
    """Its test has both signs of a strength and no task: curves and validation are shown, no test score."""
    path = yapo.parents[1] / "evaluation.parquet"
    write_scores(path.parent, ["yapo"])
    scores = pd.read_parquet(path).drop(columns=["task", "setting"])
    scores.assign(behaviour="hallucination", direction=1).to_parquet(path)
    records, problems = read_method(yapo)
    assert len(records) == 2
    assert problems == []


def test_a_file_beside_the_curve_that_cannot_be_read_costs_only_what_it_says(yapo: Path) -> None:
    country = yapo.parents[1]
    for path in (yapo / "run.json", country / "validation.parquet", country / "evaluation.parquet"):
        path.write_text("nonsense")
    records, problems = read_method(yapo)
    assert len(records) == 2
    assert [problem.partition(":")[0] for problem in problems] == [
        str(yapo / "run.json"), str(country / "validation.parquet"), str(country / "evaluation.parquet"),
    ]  # fmt: skip
    assert all("\n" not in problem and "again" in problem for problem in problems)
    (yapo / "curves.jsonl").write_bytes(b"")
    assert read_method(yapo) == ([], [f"{yapo / 'curves.jsonl'}: has no rows; delete it and train again"])


@pytest.mark.parametrize(
    "change",
    [
        *({"config": value} for value in ([], "x", None, 3, {"a/../b": 1}, {"a b": 1}, {"": 1}, {"a.": 1}, {"x" * 300: 1})),
        *({"config": value} for value in ({"note": "\ud800"}, {"note": "a\0b"})),
    ],
    ids=str,
)
def test_a_record_that_was_edited_by_hand_costs_only_the_settings(yapo: Path, change: dict[str, Any]) -> None:
    record = json.loads((yapo / "run.json").read_text())
    (yapo / "run.json").write_text(json.dumps(record | change))
    records, problems = read_method(yapo)
    assert [one.params for one in records] == [{}, {}]
    (problem,) = problems
    assert problem.startswith(f"{yapo / 'run.json'}: not the record of a training") and problem.endswith("train again")
    assert "\n" not in problem


@pytest.mark.parametrize("left", ["empty", "stale", "half a line"])
def test_a_partial_curve_that_a_refused_training_left_behind_is_ignored(yapo: Path, left: str) -> None:
    whole, partial = yapo / "curves.jsonl", yapo / "curves.jsonl.partial"
    before, _ = read_method(yapo)
    partial.write_text({"empty": "", "stale": json.dumps(step_row(1, 9.0)) + "\n", "half a line": '{"kind": "st'}[left])
    os.utime(partial, ns=(0, whole.stat().st_mtime_ns + (-1 if left == "stale" else 10**9)))
    records, problems = read_method(yapo)
    assert [(record.name, record.digest) for record in records] == [(record.name, record.digest) for record in before]
    assert problems == []


def test_a_training_that_runs_again_hides_no_curve_that_it_has_not_reached(yapo: Path) -> None:
    partial = yapo / "curves.jsonl.partial"
    partial.write_text(json.dumps(step_row(1, 9.0)) + "\n")
    os.utime(partial, ns=(0, (yapo / "curves.jsonl").stat().st_mtime_ns + 10**9))
    records, _ = read_method(yapo)
    assert [(record.name, record.complete) for record in records] == [
        ("egypt/yapo/mcq/both", False), ("egypt/yapo/open_ended/localized", True),
    ]  # fmt: skip


def test_running_means_look_back_only(yapo: Path) -> None:
    rows = [step_row(step, float(step % 2)) for step in range(1, 3 * WINDOW)]
    write_curve(yapo, rows)
    (whole,), _ = read_method(yapo)
    write_curve(yapo, rows[: 2 * WINDOW])
    (part,), _ = read_method(yapo)
    assert part.metrics.items() <= whole.metrics.items()
    means = [value for (series, _), value in whole.metrics.items() if series == "loss_mean"]
    assert all(abs(value - 0.5) < 0.05 for value in means[WINDOW:])
