"""What the ablations' variants change, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yapo.config import SaeTrainConfig
from yapo.errors import YapoError
from yapo.stages.app import compose
from yapo.studies.ablations.variants import DEFAULT, autoencoders_of, variants_of
from yapo.studies.registry import AblationsConfig


def changed(method: str, variants: dict[str, Any]) -> Any:
    config = compose([f"method={method}"])
    return replace(config, studies=replace(config.studies, ablations=AblationsConfig(variants=variants)))


VARIANTS = {
    "sharp": {"train.beta": 0.5, "train.directions": "positive"},
    "jump": {"method.options.threshold": "jumprelu"},
    "narrow": {"sae.train.width": 64, "sae.train.k": 8},
    "dropped": None,
}


def test_one_change_at_a_time() -> None:
    config = changed("yapo", VARIANTS)
    base, sharp, jump, narrow = variants_of(config)
    assert [v.name for v in (base, sharp, jump, narrow)] == [DEFAULT, "sharp", "jump", "narrow"]
    assert (base.train, base.options, base.sae) == (config.train, config.method.options, None)
    assert sharp.train == replace(config.train, beta=0.5, directions="positive")
    assert (jump.train, jump.options) == (config.train, {**config.method.options, "threshold": "jumprelu"})
    assert narrow.sae == SaeTrainConfig(width=64, k=8)
    assert autoencoders_of(config) == {"narrow": SaeTrainConfig(width=64, k=8)}


def test_a_method_takes_the_variants_whose_settings_it_has() -> None:
    assert [variant.name for variant in variants_of(changed("bipo", VARIANTS))] == [DEFAULT, "sharp"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"x": {"train.lrr": 1}}, "studies.ablations.variants.x=train.lrr: unknown setting of a variant; did you mean train.lr?"),
        ({"x": {"model.dtype": "float16"}}, "studies.ablations.variants.x=model.dtype: unknown setting of a variant"),
        ({"x": {}}, "studies.ablations.variants.x={}: give settings and values"),
        ({"x": 3}, "studies.ablations.variants.x=3: give settings and values"),
        ({"a/b": {"train.lr": 1}}, "studies.ablations.variants.a/b={'train.lr': 1}: a name of letters"),
        ({"default": {"train.lr": 1}}, "choose another name"),
    ],
)
def test_refused_with_the_configuration(variants: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        AblationsConfig(variants=variants)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"x": {"train.beta": -1}}, "studies.ablations.variants.x: train.beta=-1.0: a positive number"),
        ({"x": {"train.lr": "fast"}}, "studies.ablations.variants.x: Value 'fast' of type 'str' could not be converted to Float"),
        ({"x": {"sae.train.k": 0}}, "studies.ablations.variants.x: sae.train.k=0: at least 1"),
        (
            {"x": {"method.options.treshold": "relu"}},
            "studies.ablations.variants.x=method.options.treshold: unknown method option; did you mean method.options.threshold?",
        ),
    ],
)
def test_refused_before_anything_runs(variants: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        variants_of(changed("yapo", variants))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seeds", [], "studies.ablations.seeds=[]: give at least one"),
        ("seeds", [1, 1], "studies.ablations.seeds=[1, 1]: name each once"),
        ("tasks", ["quiz"], "studies.ablations.tasks=quiz: choose one of"),
        ("setting", "everywhere", "studies.ablations.setting=everywhere: choose one of"),
        ("methods", [], "studies.ablations.methods=[]: name at least one"),
    ],
)
def test_impossible_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(YapoError) as caught:
        AblationsConfig(**{key: value})
    assert message in str(caught.value)
