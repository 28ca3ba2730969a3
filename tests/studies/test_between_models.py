"""Transfer between models: the study of one country between the two embedded models, its numbers, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.refusals import refused
from tests.stages import small_study
from yapo.checks import Setting, Task
from yapo.config.compose import compose
from yapo.files import write_json, write_parquet
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages import app
from yapo.stages.inputs import read_items
from yapo.stages.provenance import run_record
from yapo.stages.vectors import VectorReader
from yapo.steering.vector import SteeringVector
from yapo.studies.between_models import STUDY, report, run
from yapo.studies.between_models.source import source_files
from yapo.studies.checks import check_study

FACTS = {"train": 2, "validation": 1, "test": 2}
PLACE: tuple[str, str, str, Task, Setting] = ("arabic", "egypt", "caa", "open_ended", "nonlocalized")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study on the embedded model, and the results of one on the assistant as its source."""
    folder = tmp_path_factory.mktemp("between_models")
    more = [
        "tasks=[open_ended]",
        "settings=[nonlocalized]",
        "country=egypt",
        "report.resamples=100",
        "selection.multipliers=[1.0]",
    ]
    other = ROOT / "world" / "assistant"
    assistant = (f"model.path={other / 'model'}", f"sae.path={other / 'sae' / 'layer_LAYER'}")
    theirs = [*small_study.make(folder / "theirs", ("egypt",), FACTS, ("nonlocalized",), assistant), *more]
    for method in small_study.METHODS:
        config = compose([*theirs, f"method={method}"])
        record = Paths.of(config).trained("arabic", "egypt", method)
        write_json(record / "run.json", run_record(config, "arabic", small_study.LAYER, ""))
        (record / "curves.jsonl").write_text('{"kind": "step"}\n', encoding="utf-8")
    ours = [*small_study.make(folder / "ours", ("egypt",), FACTS, ("nonlocalized",)), *more]
    made = [*ours, f"studies.between_models.source={Paths.of(compose(theirs)).root}"]
    config = compose(made)
    items = read_items(config, "egypt").query("split == 'test' and variant == 'nonlocalized'")
    frames = [
        items.assign(task="open_ended", setting="nonlocalized", method=method, score=1.0, parsed=True, multiplier=0.5)
        for method in ("baseline", "prompt", "random", *config.methods)
    ]
    write_parquet(Paths.of(config).evaluation("arabic", "egypt"), pd.concat(frames, ignore_index=True))
    return made


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose(overrides)
    paths = Paths.of(config)
    app.run(run.main, overrides)  # with the settings that it declares
    path = paths.study_rows("between_models", "arabic", "egypt")
    rows, before = pd.read_parquet(path), path.read_bytes()
    found = rows.groupby(["method", "map"])
    states = {"own", "ridge", "procrustes", "random"}
    assert set(found.groups) == {
        ("baseline", "none"), *(("caa", name) for name in states), *(("yapo", name) for name in {*states, "features"}),
    }  # fmt: skip
    assert found.size().unique().tolist() == [4]  # two facts, two phrasings
    fit, kept = (found[name].first().to_dict() for name in ("fit", "kept"))
    assert 0 < fit["yapo", "features"] < 1
    assert 0 < kept["yapo", "features"] < 1
    assert 0 < fit["caa", "procrustes"] < fit["caa", "ridge"] < 1
    assert math.isnan(fit["caa", "random"])
    assert math.isnan(kept["caa", "ridge"])
    run.main(config)
    assert path.read_bytes() == before
    report.main(config)
    finding = json.loads(paths.finding("between_models").read_text(encoding="utf-8"))
    assert "4 answers to 2 facts a condition): CAA own vector +0.00 [+0.00, +0.00], ridge " in finding["reading"]
    assert all((paths.root / name).stat().st_size > 200 for name in STUDY.file_names(config))


def test_a_carried_vector_is_the_map_of_its_mean_change(overrides: list[str]) -> None:
    config = compose(overrides)
    link = run._link(config, read_items(config, "egypt"), Paths.of(config).root)
    theirs, ours = (VectorReader(one.config, one.lm, one.layer).read(*PLACE) for one in (link.source, link.target))
    carried = link.carry(theirs, ours)
    u, own = 0.5 * theirs.values.double().numpy(), 0.5 * ours.values.double().numpy()
    for kind in ("ridge", "procrustes", "random"):
        values = carried[kind].candidate.epochs[0].double().numpy()
        expected = u @ link.maps[kind].weights
        np.testing.assert_allclose(values, expected * np.linalg.norm(own) / np.linalg.norm(expected), atol=1e-4)
        assert carried[kind].cosine == pytest.approx(values @ own / np.linalg.norm(values) / np.linalg.norm(own), abs=1e-4)


def rows_of(scores: dict[tuple[str, str], list[list[float]]]) -> pd.DataFrame:
    """Multiple-choice rows of two countries by method and map, ``[country][fact]``."""
    place = {"task": "mcq", "setting": "nonlocalized", "variant": "nonlocalized", "phrasing": 0, "parsed": True, "kept": 0.9}
    return pd.DataFrame(
        [
            {**place, "method": method, "map": name, "country": country, "question_id": f"q{fact}", "score": value,
             "multiplier": 1.0 + (country == "egypt"), "cosine": 0.25 + 0.5 * (country == "egypt"), "fit": 0.5}
            for (method, name), of_condition in scores.items()
            for country, values in zip(("egypt", "morocco"), of_condition, strict=True)
            for fact, value in enumerate(values)
        ]
    )  # fmt: skip


def test_gains_are_over_the_unsteered_model_and_beyond_the_random_map() -> None:
    rows = rows_of(
        {
            ("baseline", "none"): [[0, 0, 1, 0], [0, 0, 0, 0]],
            ("caa", "own"): [[1, 1, 1, 1], [1, 1, 1, 0]],
            ("caa", "ridge"): [[1, 1, 1, 0], [1, 0, 0, 0]],
            ("caa", "procrustes"): [[0, 0, 1, 0], [1, 0, 0, 0]],
            ("caa", "random"): [[0, 0, 1, 0], [0, 1, 0, 0]],
        }
    )
    cells = report.map_cells(rows, TableOptions(resamples=100))
    caa = cells[cells["method"] == "caa"]
    assert caa["change"].tolist() == pytest.approx([75.0, 37.5, 12.5, 12.5])
    assert caa["beyond"].tolist() == pytest.approx([62.5, 25.0, 0.0, 0.0])
    for name, value in {"multiplier": 1.5, "cosine": 0.5, "n": 8, "n_facts": 4}.items():
        assert caa[name].unique().tolist() == [value]
    text = report.between_models_table(cells, "Non-localized", TableOptions(resamples=100)).texts["md"]
    assert [line.split("|")[2].strip() for line in text.splitlines() if line.startswith(("| CAA", "|  |"))] == [
        "own vector", "ridge", "Procrustes", "random map",
    ]  # fmt: skip
    assert "ridge 0.50, Procrustes 0.50." in text


def test_the_figure_has_a_line_for_what_one_task_alone_has() -> None:
    conditions = [("baseline", "none"), ("sas", "own"), ("sas", "ridge"), ("sas", "random")]
    first, more = rows_of(dict.fromkeys(conditions, [[0.0, 1.0]] * 2)), rows_of({("sas", "features"): [[1.0, 1.0]] * 2})
    rows = pd.concat([first, *(part.assign(task="open_ended") for part in (first, more))], ignore_index=True)
    cells = report.map_cells(rows, TableOptions(resamples=50))
    names = [text.get_text() for text in report.between_models_figure(cells, "Both").axes[0].get_yticklabels()]
    assert names == ["SAS: own vector", "SAS: ridge", "SAS: matched features", "SAS: random map"]


def test_what_is_refused(overrides: list[str], tmp_path: Path) -> None:
    key = "studies.between_models."
    refused(lambda: check_study(compose([]), "between_models"), f"{key}source=: between_models reads a file of yours")
    refused(
        lambda: check_study(compose([*overrides, f"{key}methods=[dspa]"]), "between_models"), f"{key}methods=dspa: has no vector"
    )
    for folder, fault in ((tmp_path / "none", "no such folder"), (tmp_path, "lacks arabic/egypt/train/caa/run.json")):
        there = compose([*overrides, f"{key}source={folder}"])
        refused(partial(source_files, there, "arabic", "egypt"), f"{key}source={folder}: {fault}")
    own = compose(overrides)
    same = compose([*overrides, f"model.path={ROOT / 'world' / 'assistant' / 'model'}"])
    refused(lambda: source_files(same, "arabic", "egypt"), f"{key}source=", "its vectors are of this study's own model")
    few = compose([*overrides, f"{key}texts=1"])
    refused(lambda: run.main(few), f"{key}texts: ", "share 19 places of the training texts")
    path = Paths.of(own).vector(*PLACE)
    kept = path.read_bytes()
    vector = SteeringVector.load(path)
    replace(vector, info=replace(vector.info, data_hash="other")).save(path)
    refused(lambda: run.main(own), "caa/open_ended-nonlocalized.safetensors: trained on other questions or another split")
    path.write_bytes(kept)
