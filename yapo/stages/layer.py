"""Stage ``layer``: find the layer to steer by activation patching and by steerability; report both curves."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pandas as pd
from scipy.stats import bootstrap

from yapo.config import Config
from yapo.dag.scope import measured
from yapo.data.sources import known_countries
from yapo.discovery.patching import make_probe, patch_all_layers
from yapo.discovery.steerability import steer_every_layer
from yapo.errors import YapoError
from yapo.evaluation.exact import exact
from yapo.files import write_json
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_items

READS = ("data", "prompts", "model", "sae", "discovery", "generation", "tasks")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes ``layer.json``."""
    paths = Paths.of(config)
    lm = load_language_model(config.model)
    for layer in [*config.discovery.candidates, *([] if config.discovery.layer is None else [config.discovery.layer])]:
        lm.check_layer(layer)
    curves: list[dict[str, object]] = []
    for country in measured(config, known_countries(config.data)):
        items = read_items(config, country)
        for task in config.tasks:
            curves += _patching(config, lm, items, country, task)
            curves += _steerability(config, lm, items, country, task)
            log.info("%s %s done", country, task)
    columns = pd.DataFrame(curves, columns=["curve", "layer", "value"])
    candidates = columns[columns["layer"].isin(config.discovery.candidates)]
    best = {str(name): _best_layer(rows.groupby("layer")["value"].mean()) for name, rows in candidates.groupby("curve")}
    layer = config.discovery.layer if config.discovery.layer is not None else best[config.discovery.select]
    write_json(
        paths.layer,
        {
            "layer": layer,
            "select": config.discovery.select if config.discovery.layer is None else "configured",
            "candidates": config.discovery.candidates,
            "best": {name: best[name] for name in ("patching", "steerability") if name in best},
            "model": {"path": lm.source, "digest": lm.digest},
            "curves": curves,
        },
    )


def _best_layer(values: pd.Series[float]) -> int:
    """The layer with the highest value; the lower one where two are equal."""
    return int(values.index.to_numpy()[int(values.to_numpy().argmax())])


def _pairs_of_variants(items: pd.DataFrame, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Items of a split in both forms, row by row the same question."""
    chosen = items[items["split"] == split]
    sides = [
        chosen[chosen["variant"] == v].set_index(["question_id", "phrasing"]).sort_index() for v in ("localized", "nonlocalized")
    ]
    common = sides[0].index.intersection(sides[1].index)
    if not len(common):
        raise YapoError(
            f"no {split} question has both a localized and a non-localized form and a control option; set discovery.layer instead"
        )
    return sides[0].loc[common].reset_index(), sides[1].loc[common].reset_index()


def _patching(config: Config, lm: LanguageModel, items: pd.DataFrame, country: str, task: str) -> list[dict[str, object]]:
    prompts, tokenizer = prompt_format(config), lm.tokenizer
    localized, nonlocalized = _pairs_of_variants(items[items["control_index"] >= 0], "validation")
    probes = [
        make_probe(
            tokenizer.prompt(prompts.prompt(task, source["question"], source["options"])),
            tokenizer.prompt(prompts.prompt(task, target["question"], target["options"])),
            tokenizer.response(prompts.answer(task, target["options"], target["answer_index"])),
            tokenizer.response(prompts.answer(task, target["options"], target["control_index"])),
        )
        for source, target in zip(localized.to_dict("records"), nonlocalized.to_dict("records"), strict=True)
    ]
    values = patch_all_layers(lm, probes, config.model.batch_size)
    facts = nonlocalized["question_id"]
    rows: list[dict[str, object]] = []
    for side, curve in enumerate(("patching", "patching_western")):
        base, ceiling = float(values[-2, :, side].mean()), float(values[-1, :, side].mean())
        for layer in range(lm.n_layers):
            rows.append(
                {
                    **_row(curve, task, country, layer, values[layer, :, side].tolist(), facts, config.data.seed),
                    "base": base,
                    "ceiling": ceiling,
                }
            )
    return rows


def _steerability(config: Config, lm: LanguageModel, items: pd.DataFrame, country: str, task: str) -> list[dict[str, object]]:
    prompts = prompt_format(config)

    def encode(frame: pd.DataFrame) -> list[list[int]]:
        return [lm.tokenizer.prompt(text) for text in prompts.prompts(task, frame)]

    localized, nonlocalized = _pairs_of_variants(items, "train")
    _, questions = _pairs_of_variants(items, "validation")

    def right(completions: list[str]) -> list[bool]:
        return exact(questions, completions, task)

    steered = steer_every_layer(
        lm,
        encode(localized),
        encode(nonlocalized),
        encode(questions),
        [0.0, *config.discovery.multipliers],
        config.generation.max_new_tokens(task),
        config.model.batch_size,
        right,
    )
    return [
        _row("steerability", task, country, layer, [float(value) for value in values], questions["question_id"], config.data.seed)
        for layer, values in enumerate(steered)
    ]


def _row(
    curve: str, task: str, country: str, layer: int, values: list[float], facts: Iterable[str], seed: int
) -> dict[str, object]:
    """One point of a curve with a bootstrap interval over facts."""
    by_fact = pd.DataFrame({"fact": list(facts), "value": values}).groupby("fact")["value"].mean()
    mean = float(pd.Series(values).mean())
    low = high = mean
    if by_fact.nunique() > 1:
        interval = bootstrap(
            (by_fact.to_numpy(),), lambda x, axis: x.mean(axis=axis), n_resamples=1000, rng=seed, method="percentile"
        )
        low, high = float(interval.confidence_interval.low), float(interval.confidence_interval.high)
    return {
        "curve": curve,
        "task": task,
        "country": country,
        "layer": layer,
        "value": mean,
        "low": low,
        "high": high,
        "n": len(values),
    }


if __name__ == "__main__":
    run(main)
