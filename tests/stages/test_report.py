"""The stage that makes the report, on a study of a few facts whose other stages have run for real."""

from __future__ import annotations

import html
import re
import subprocess
import sys

import pytest

from yapo.config import Config
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.paths import Paths
from yapo.reporting.finding import Finding
from yapo.stages import evaluate, figures, layer, prepare, report, tables, train
from yapo.studies.features import report as features_table
from yapo.studies.features import run as features

from . import small_study

OWN = ["train.beta=0.2"]  # a setting that one method alone is trained with
ELSEWHERE = Finding(
    "behaviours",
    "Behaviours",
    "Do they?",
    "They do.",
    limits=("A limit of theirs.",),
    made="model another/model; learning rates: YaPO 0.3.",
)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Egypt with CAA and YaPO, one epoch; a study that the report shows has run, another is written down."""
    made = small_study.make(
        tmp_path_factory.mktemp("report"), ("egypt",), {"train": 4, "validation": 2, "test": 2}, ("localized", "nonlocalized")
    )
    made += [
        "tasks=[mcq]",
        "settings=[localized,nonlocalized]",
        "train.epochs=1",
        "discovery.countries=[egypt]",
        "report.resamples=100",
    ]
    made += ["studies.reported=[features,behaviours]", "studies.features.settings=[nonlocalized]", "studies.features.top=4"]
    config = compose(made)
    for stage in (layer, prepare):
        stage.main(config)
    train.main(compose([*made, "method=caa"]))
    train.main(compose([*made, "method=yapo", *OWN]))
    for stage in (evaluate, tables, figures, features, features_table):
        stage.main(config)
    ELSEWHERE.save(Paths.of(config).finding("behaviours"))
    return made


@pytest.fixture(scope="module")
def config(overrides: list[str]) -> Config:
    return compose(overrides)


@pytest.fixture(scope="module")
def page(config: Config, overrides: list[str]) -> str:
    report.main(config, overrides)
    return (Paths.of(config).root / "report.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition("</style>")[2])).split())


def test_every_finding_has_its_section_with_its_tables_and_figures(config: Config, page: str) -> None:
    paths = Paths.of(config)
    assert re.findall(r'<section class="finding" id="(\w+)"', page) == [
        "results", "training", "layer", "features", "behaviours", "made",
    ]  # fmt: skip
    found = Finding.load(paths.finding("features"))
    written = [path.stem for path in (paths.root / "tables").glob("*.html") if path.stem != "examples"]
    assert page.count("<details") == len(written) and set(found.tables) < set(written)
    assert page.count("<img") == len(list((paths.root / "figures").glob("*.svg")))
    assert all(line in text_of(page) for line in found.reading.split("\n"))
    assert "They do." in page and "A limit of theirs." in page
    assert all((paths.root / path).exists() for path in found.pages)
    assert "nan" not in text_of(page).lower().split()


def test_how_it_was_made(page: str, config: Config) -> None:
    text = text_of(page)
    for said in (
        f"Model {config.model.path}, float32 (",
        f"Autoencoder {config.sae.path.replace('LAYER', '2')} Layer 2 (0-based) Countries Egypt Methods CAA, YaPO Data atlas: ",
        "Training 1 epoch of batches of 4, β = 0.2",
        "Learning rates YaPO 0.005; no training steps: CAA",
        "YaPO alone train.beta=0.2",
        "Behaviours model another/model; learning rates: YaPO 0.3.",
        "Made with: model another/model",
        "Packages torch ",
    ):
        assert said in text, said


def test_limits(page: str) -> None:
    text = text_of(page)
    assert "nothing is chosen on test questions" in text
    assert "those of vectors in features over countries" in text
    assert "transfer asks them again" in text


def test_the_commands_are_those_that_were_typed(page: str, overrides: list[str]) -> None:
    (shown,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    first, second = html.unescape(shown).split("\n")
    typed = " ".join(o for o in overrides if not o.startswith("countries="))
    own = """'method_overrides={yapo: "train.beta=0.2"}'"""
    expected = f"""snakemake --cores all --config 'countries=[egypt]' overrides="{typed}" {own} --"""
    assert (first, second) == (f"{expected} all_tables", f"{expected} all_studies")


def test_the_same_bytes_twice(page: str, config: Config, overrides: list[str]) -> None:
    report.main(config, overrides)
    assert (Paths.of(config).root / "report.html").read_text(encoding="utf-8") == page


def test_started_as_the_workflow_starts_it(page: str, config: Config, overrides: list[str]) -> None:
    file = Paths.of(config).root / "report.html"
    file.unlink()
    subprocess.run([sys.executable, "-m", "yapo.stages.report", *overrides], cwd=ROOT, check=True)
    assert file.read_text(encoding="utf-8") == page
