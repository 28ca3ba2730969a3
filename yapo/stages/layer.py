"""Stage ``layer``: find the layer to steer by activation patching and by steerability; report both curves."""

from __future__ import annotations

import logging

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import discovery_countries
from yapo.data.sources import known_countries, refuse_training
from yapo.discovery.curves import CountryCurves, Point
from yapo.files import write_json
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_items

READS = (
    "data",
    "prompts",
    "model",
    "discovery",
    "generation",
    "tasks",
)

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``layer.json``."""
    wanted, prompts, lm = config.discovery, prompt_format(config), load_language_model(config.model)
    for layer in [*wanted.candidates, *([] if wanted.layer is None else [wanted.layer])]:
        lm.check_layer(layer)
    points: list[Point] = []
    measured = discovery_countries(config, known_countries(config.data))
    if measured:
        refuse_training(config.data, "layers are compared")
    for country in measured:
        settings = (config.generation, wanted.multipliers, config.model.batch_size, config.data.seed, wanted.probability)
        curves = CountryCurves(lm, read_items(config, country), country, prompts, *settings)
        for task in config.tasks:
            points += [*curves.patching(task), *curves.steerability(task)]
            log.info("%s %s done", country, task)
    rows = pd.DataFrame(points, columns=["curve", "layer", "value"])
    candidates = rows[rows["layer"].isin(wanted.candidates)]
    best = {str(name): _best_layer(rows.groupby("layer")["value"].mean()) for name, rows in candidates.groupby("curve")}
    found = {
        "layer": best[wanted.select] if wanted.layer is None else wanted.layer,
        "probability": wanted.probability,
        "select": wanted.select if wanted.layer is None else "configured",
        "candidates": wanted.candidates,
        "best": {name: best[name] for name in ("patching", "steerability") if name in best},
        "model": {"path": lm.source, "digest": lm.digest},
        "curves": points,
    }
    write_json(Paths.of(config).layer, found)


def _best_layer(values: pd.Series[float]) -> int:
    """Return the layer with the highest value; the lower one where two are equal."""
    return int(values.index.to_numpy()[int(values.to_numpy().argmax())])


if __name__ == "__main__":
    run(main)
