"""Studies that cannot be made of the experiment's methods, tasks and settings are refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.published_rows import blend_rows, write
from tests.refusals import refused
from yapo.config import Config, KnowledgeConfig
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.studies.ablations import run as ablations_run
from yapo.studies.checks import check_methods, check_study
from yapo.studies.convergence import run as convergence_run
from yapo.studies.registry import (
    ALONE,
    STUDIES,
    AblationsConfig,
    ConvergenceConfig,
    DspaConfig,
    FeaturesConfig,
    LambdaSweepConfig,
    StudiesConfig,
    TransferConfig,
)
from yapo.studies.transfer import left_out
from yapo.studies.transfer import run as transfer_run

MCQ: dict[str, Any] = {"tasks": ["mcq"]}
OPEN: dict[str, Any] = {"tasks": ["open_ended"]}
LOCAL: dict[str, Any] = {"settings": ["localized"]}


@pytest.mark.parametrize("study", [*ALONE, "portable"])
def test_the_whole_experiment_can_make_every_study(study: str) -> None:
    check_study(Config(), study)


def test_studies_that_train_are_refused_on_data_for_evaluation_only(tmp_path: Path) -> None:
    overrides = ["data=blend", f"data.path={write(tmp_path / 'mc.json', blend_rows())}", "methods=[imported]", "tasks=[mcq]"]
    config = compose(overrides)
    for study in ALONE:
        refused(
            lambda study=study: check_study(config, study), f"data.source=blend: is for evaluation only, and {study} trains on it"
        )


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("convergence", MCQ, "studies.convergence.tasks=open_ended: not among tasks=mcq"),
    ("ablations", MCQ, "studies.ablations.tasks=open_ended: not among tasks=mcq"),
    ("dspa_study", MCQ, "studies.dspa_study.chat_task=open_ended: not among tasks=mcq"),
    ("knowledge", MCQ, "knowledge.vector_task=open_ended: not among tasks=mcq"),
    (
        "knowledge",
        OPEN | {"knowledge": KnowledgeConfig(vector_task="mcq")},
        "knowledge.vector_task=mcq: not among tasks=open_ended",
    ),
    (
        "features",
        OPEN | {"studies": StudiesConfig(features=FeaturesConfig(tasks=["mcq"]))},
        "studies.features.tasks=mcq: not among",
    ),
    ("lambda_sweep", LOCAL, "studies.lambda_sweep.settings=both: not among settings=localized"),
    ("transfer", LOCAL, "studies.transfer.setting=nonlocalized: not among settings=localized"),
    ("features", LOCAL, "studies.features.settings=both: not among settings=localized"),
    ("dspa_study", LOCAL, "studies.dspa_study.setting=both: not among settings=localized"),
    ("knowledge", LOCAL, "knowledge.vector_setting=both: not among settings=localized"),
    ("side_effects", LOCAL, "knowledge.vector_setting=both: not among settings=localized"),
    ("portable", {"methods": ["caa", "bipo"]}, "methods=[caa,bipo]: none of them has a vector of features, which portable needs"),
    ("portable", {"methods": ["dspa"]}, "add one of corrsteer, sas, sas_output, yapo"),
    ("features", {"methods": ["dspa"]}, "methods=[dspa]: none of them has a vector that learns from pairs, which features needs"),
    ("dspa_study", {"methods": ["caa"]}, "methods=[caa]: dspa_study changes what dspa does"),
    ("convergence", {"methods": ["caa"]}, "studies.convergence.methods=['bipo', 'yapo']: none of them is in this experiment"),
    (
        "convergence",
        {"studies": StudiesConfig(convergence=ConvergenceConfig(methods=["caa"]))},
        "studies.convergence.methods=caa: is not trained in steps",
    ),
    (
        "ablations",
        {"studies": StudiesConfig(ablations=AblationsConfig(methods=["yopa"]))},
        "studies.ablations.methods=yopa: unknown method; did you mean yapo?",
    ),
    (
        "transfer",
        {"studies": StudiesConfig(transfer=TransferConfig(left_out_methods=["dspa"]))},
        "studies.transfer.left_out_methods=dspa: has no vector",
    ),
    (
        "lambda_sweep",
        {"countries": ["egypt"], "studies": StudiesConfig(lambda_sweep=LambdaSweepConfig(countries=["nepal"]))},
        "studies.lambda_sweep.countries=['nepal']: none of them is in this experiment; name one of egypt",
    ),
    (
        "dspa_study",
        {"countries": ["egypt"], "studies": StudiesConfig(dspa_study=DspaConfig(countries=["nepal"]))},
        "studies.dspa_study.countries=['nepal']: none of them",
    ),
]


@pytest.mark.parametrize(("study", "settings", "message"), REFUSED, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(REFUSED)])
def test_refused(study: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        check_study(Config(**settings), study)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("stage", "override", "message"),
    [
        (
            convergence_run,
            "convergence.methods=[yapo,dspa]",
            "convergence.methods=dspa: is not trained in steps; .* choose among bipo, dpo, reps, sft, yapo$",
        ),
        (convergence_run, "convergence.methods=[yapoo,yapo]", "convergence.methods=yapoo: unknown method; did you mean yapo?"),
        (
            ablations_run,
            "ablations.methods=[caa]",
            "ablations.methods=caa: is not trained in steps; leave it out, or choose among bipo, dpo, reps, sft, yapo$",
        ),
        (transfer_run, "transfer.left_out_methods=[capo]", "transfer.left_out_methods=capo: unknown method"),
        (
            left_out,
            "transfer.left_out_methods=[caa,dspa]",
            "transfer.left_out_methods=dspa: has no vector that learns from pairs",
        ),
        (
            left_out,
            "transfer.left_out_methods=[cue,caa]",
            "transfer.left_out_methods=cue: tells a country from the others, and transfer knows one at a time; leave it out",
        ),
    ],
)
def test_a_method_that_a_study_cannot_train_is_refused_before_anything_is_read(stage: Any, override: str, message: str) -> None:
    with pytest.raises(YapoError, match=rf"^studies\.{message}"):
        stage.main(compose(["results=nowhere", "methods=[yapo]", f"studies.{override}"]))


def test_a_study_may_name_methods_that_the_experiment_lacks() -> None:
    for study in STUDIES:
        check_methods(compose(["methods=[yapo,dspa]"]), study)


def test_a_study_of_one_method_needs_it() -> None:
    with pytest.raises(YapoError, match=r"^methods=\[caa,yapo\]: dspa_study changes what dspa does; add dspa, or leave"):
        check_methods(compose(["methods=[caa,yapo]"]), "dspa_study")
