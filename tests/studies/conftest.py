"""A small study whose methods are trained, shared by the tests of studies that train vectors of their own."""

from __future__ import annotations

import pytest

from tests.stages import small_study
from yapo.config.compose import compose
from yapo.stages import prepare

FACTS = {"train": 3, "validation": 2, "test": 1}


@pytest.fixture(scope="session")
def training_overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The overrides of a study of one country with prepared pairs."""
    folder = tmp_path_factory.mktemp("trainings") / "results"
    made = small_study.make(folder, ("egypt",), FACTS, ("nonlocalized",))
    overrides = [part for part in made if not part.startswith(("methods=", "countries="))]
    overrides += ["countries=[egypt]", "country=egypt", "tasks=[open_ended]", "methods=[bipo,yapo]", "report.resamples=100"]
    overrides += ["train.epochs=2", "train.warmup_steps=1"]
    prepare.main(compose(overrides))
    return overrides
