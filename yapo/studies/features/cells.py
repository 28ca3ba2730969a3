"""The numbers of the features study over all countries: overlap of vectors, comparison of methods, coherence of features.

Frames in, one long frame out: a row per number, with the columns of its cell, ``metric``, ``value``, ``low``, ``high`` (a
bootstrap that resamples countries) and ``n`` (how many countries or pairs of countries it is a mean of).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom

from yapo.evaluation.bootstrap import fact_weights, intervals
from yapo.reporting.tables import TableOptions
from yapo.studies.features.examples import agreement

CELL = ["task", "setting", "method"]
KEPT = ("kept_tokens", "kept_topics", "kept_mass", "control_tokens", "control_topics", "control_mass")
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEWEST = 3  # countries: with fewer, resampling them says nothing about spread


class _CountryMeans:
    """Means over countries, in one order, with intervals from the same resamples of them."""

    def __init__(self, frame: pd.DataFrame, options: TableOptions) -> None:
        whose = frame[["language", "country"]].drop_duplicates()
        self.countries = whose["country"].tolist()
        language = whose["language"].to_numpy(dtype=str)
        self.same: Mask = language[:, None] == language[None, :]
        self.other: Mask = ~self.same
        self._weights = fact_weights(len(self.countries), options.resamples, options.seed)
        self._confidence = options.confidence

    def of(self, values: Floats) -> dict[str, float | int]:
        """Return the mean of one number per country."""
        return self._row(mean_draws(values, self._weights), int(np.isfinite(values).sum()))

    def pairs(self, matrix: Floats, wanted: Mask) -> dict[str, float | int]:
        """Return the mean over pairs of countries; a symmetric matrix counts each pair once."""
        used = wanted & np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
        n = int(used.sum()) // (2 if np.array_equal(matrix, matrix.T, equal_nan=True) else 1)
        return self._row(pair_draws(matrix, wanted, self._weights), n)

    def _row(self, draws: Floats, n: int) -> dict[str, float | int]:
        value, low, high = percentile_interval(draws, self._confidence)
        return {"value": value, "low": low, "high": high, "n": n}


def overlap_cells(vectors: pd.DataFrame, top: int, options: TableOptions) -> pd.DataFrame:
    """Return the size of vectors and the overlap of the vectors of two countries, for each task, setting and method.

    Metrics: ``touched`` features, ``effective`` number of features, ``length`` of the mean change; ``cosine`` of mean changes of
    the residual stream, ``effects`` (cosine of effects) and ``jaccard`` of the ``top`` strongest features, each with ``_same``
    (pairs of countries of one language) and ``_other`` (of two); ``jaccard_chance`` of random sets of those sizes;
    ``settings``: cosine of the mean change with those of the country's other settings.

    Args:
        vectors: rows of the stage ``features``, countries in the same order in every cell.
        top: how many features are compared.
        options: resamples, confidence and seed.
    """
    means = _CountryMeans(vectors, options)
    rows = []
    for key, part in vectors.groupby(CELL, sort=False):
        change, effect = _changes(part), _effects(part)
        strongest = [features[:top].tolist() for features in part["features"]]
        shared = np.array([[jaccard(a, b) for b in strongest] for a in strongest])
        chance = [expected_jaccard(len(a), len(b), int(part["width"].iloc[0])) for a, b in combinations(strongest, 2)]
        found: dict[str, dict[str, float | int]] = {
            name: means.of(part[name].to_numpy(dtype=float)) for name in ("touched", "effective", "length")
        }
        for name, matrix in (("cosine", cosines(change)), ("effects", cosines(effect)), ("jaccard", shared)):
            found[f"{name}_same"] = means.pairs(matrix, means.same)
            found[f"{name}_other"] = means.pairs(matrix, means.other)
        found["jaccard_chance"] = _exact(float(np.mean(chance)) if chance else float("nan"), len(chance))
        found["settings"] = means.of(_other_settings(vectors, part))
        rows += [{**dict(zip(CELL, key, strict=True)), "metric": name, **row} for name, row in found.items()]
    return pd.DataFrame(rows)


def method_cells(vectors: pd.DataFrame, top: int, options: TableOptions) -> pd.DataFrame:
    """Return the overlap of two methods' vectors, for each task, setting and pair (``method``, ``other``).

    Metrics: ``cosine`` of mean changes for the same country, ``cosine_elsewhere`` of one country's by one method with another
    country's by the other (the control), ``effects`` (cosine of effects), ``shared``: share of the ``top`` strongest features in
    common, |A ∩ B| / min(|A|, |B|), and ``shared_chance`` of random sets of those sizes.
    """
    means = _CountryMeans(vectors, options)
    rows = []
    for key, part in vectors.groupby(["task", "setting"], sort=False):
        by_method = {str(name): group for name, group in part.groupby("method", sort=False)}
        for (one, a), (two, b) in combinations(by_method.items(), 2):
            change, effect = cosines(_changes(a), _changes(b)), cosines(_effects(a), _effects(b))
            sets = [(set(x[:top]), set(y[:top])) for x, y in zip(a["features"], b["features"], strict=True)]
            shared = [len(x & y) / min(len(x), len(y)) if x and y else np.nan for x, y in sets]
            chance = [max(len(x), len(y)) / int(a["width"].iloc[0]) for x, y in sets]
            found = {
                "cosine": means.of(np.diag(change)),
                "cosine_elsewhere": means.pairs(change, np.ones_like(means.same)),
                "effects": means.of(np.diag(effect)),
                "shared": means.of(np.array(shared)),
                "shared_chance": _exact(float(np.mean(chance)), len(chance)),
            }
            names = {"task": key[0], "setting": key[1], "method": one, "other": two}
            rows += [{**names, "metric": name, **row} for name, row in found.items()]
    return pd.DataFrame(rows, columns=["task", "setting", "method", "other", "metric", "value", "low", "high", "n"])


def coherence_cells(tops: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the coherence of the strongest features, for each task, setting and method.

    Metrics, each the mean over a country's features and then over countries: ``fires``, ``fires_during`` (shares of tokens),
    ``silenced`` (share of the features that fire before steering and not during), ``absent`` (that never fire before), those of
    ``KEPT`` (see ``yapo.studies.features.examples``), of the features that are neither; and between countries, for the features
    that two countries have in common, ``tokens_same``, ``topics_same`` (agreement of their examples before steering, pairs of
    countries of one language), ``tokens_other``, ``topics_other`` (of two), each with ``_control`` (of the one's examples with
    those of the other's control).
    Words of two languages are different tokens; what they can agree in is line breaks, digits and the chat's own tokens.

    Counts, over all countries: ``features``, of which ``features_absent`` and ``features_silenced`` have nothing that could be
    kept, and ``features_kept`` have; ``shared``, of features that two countries have in common, once for each pair of
    countries, and ``shared_compared``, those of them that fire before steering in both.
    """
    means = _CountryMeans(tops, options)
    marked = tops.assign(
        silenced=((tops["fires"] > 0) & (tops["fires_during"] == 0)).astype(float), absent=(tops["fires"] == 0).astype(float)
    )
    rows = []
    for key, part in marked.groupby(CELL, sort=False):
        by_country = {str(name): group for name, group in part.groupby("country", sort=False)}
        found: dict[str, dict[str, float | int]] = {}
        for name in ("fires", "fires_during", "silenced", "absent", *KEPT):
            values = [float(by_country[c][name].mean()) if c in by_country else np.nan for c in means.countries]
            found[name] = means.of(np.array(values))
        absent, silenced = int(part["absent"].sum()), int(part["silenced"].sum())
        counts = {"": len(part), "_absent": absent, "_silenced": silenced, "_kept": len(part) - absent - silenced}
        found |= {f"features{name}": _exact(count, len(by_country)) for name, count in counts.items()}
        for label in ("tokens", "topics"):
            agreed, control, shared, compared = _between(by_country, means.countries, label)
            found["shared"], found["shared_compared"] = _exact(shared, len(by_country)), _exact(compared, len(by_country))
            found[f"{label}_same"] = means.pairs(agreed, means.same)
            found[f"{label}_same_control"] = means.pairs(control, means.same)
            found[f"{label}_other"] = means.pairs(agreed, means.other)
            found[f"{label}_other_control"] = means.pairs(control, means.other)
        rows += [{**dict(zip(CELL, key, strict=True)), "metric": name, **row} for name, row in found.items()]
    return pd.DataFrame(rows)


def shared_features(tops: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the features that most countries share among their strongest, ``most`` of each task, setting and method.

    Returns:
        ``CELL``, feature, countries (a list), languages (how many), effect (mean over those countries), promoted, suppressed.
    """
    rows: list[dict[str, Any]] = []
    for cell, of_cell in tops.groupby(CELL, sort=False):
        found = [(feature, part) for feature, part in of_cell.groupby("feature") if len(part) > 1]
        found.sort(key=lambda item: (-len(item[1]), -abs(item[1]["effect"].mean())))
        for feature, part in found[:most]:
            rows.append(
                {
                    **dict(zip(CELL, cell, strict=True)),
                    "feature": feature,
                    "countries": part["country"].tolist(),
                    "languages": part["language"].nunique(),
                    "effect": part["effect"].mean(),
                    "promoted": list(part["promoted"].iloc[0]),
                    "suppressed": list(part["suppressed"].iloc[0]),
                }
            )
    return pd.DataFrame(rows, columns=[*CELL, "feature", "countries", "languages", "effect", "promoted", "suppressed"])


def spectrum(vectors: pd.DataFrame, points: int = 60) -> pd.DataFrame:
    """Return the share of the summed absolute effect that the n strongest features make up, by n: mean over countries.

    Returns:
        ``CELL``, features (n, about evenly spaced on a logarithmic scale), share.
    """
    rows = []
    for key, part in vectors.groupby(CELL, sort=False):
        shares = [np.cumsum(np.abs(effects)) / np.abs(effects).sum() for effects in part["effects"] if len(effects)]
        if not shares:
            continue
        counts = np.unique(np.geomspace(1, max(map(len, shares)), points).round().astype(int))
        mean = np.mean([share[np.minimum(counts, len(share)) - 1] for share in shares], axis=0)
        cell = dict(zip(CELL, key, strict=True))
        rows += [{**cell, "features": int(n), "share": float(y)} for n, y in zip(counts, mean, strict=True)]
    return pd.DataFrame(rows)


def _changes(part: pd.DataFrame) -> Floats:
    return np.stack(part["change"].to_list()).astype(np.float64)


def _effects(part: pd.DataFrame) -> Floats:
    return effect_matrix(part["features"].tolist(), part["effects"].tolist(), int(part["width"].iloc[0]))


def _exact(value: float, n: int) -> dict[str, float | int]:
    """Return the row of a number that is computed, not sampled."""
    return {"value": value, "low": float("nan"), "high": float("nan"), "n": n}


def _other_settings(vectors: pd.DataFrame, part: pd.DataFrame) -> Floats:
    """Return each country's mean cosine of its change with those of its other settings; NaN where there are none."""
    first = part.iloc[0]
    same = vectors[(vectors["task"] == first["task"]) & (vectors["method"] == first["method"])]
    others = [_changes(group) for name, group in same.groupby("setting", sort=False) if name != first["setting"]]
    if not others:
        return np.full(len(part), np.nan)
    mine = _changes(part)
    means: Floats = np.mean([np.diag(cosines(mine, other)) for other in others], axis=0)
    return means


def _between(by_country: dict[str, pd.DataFrame], countries: list[str], label: str) -> tuple[Floats, Floats, int, int]:
    """Return the agreement of the features that two countries share, and of their controls: ``[countries, countries]``.

    Also return the number of shared features, summed over pairs of countries, and of those with examples in both.
    """
    total = compared = 0
    agreed, control = (np.full((len(countries), len(countries)), np.nan) for _ in range(2))
    examples = {c: {int(row["feature"]): row for row in frame.to_dict("records")} for c, frame in by_country.items()}
    present = [(place, country) for place, country in enumerate(countries) if country in examples]
    for (i, a), (j, b) in combinations(present, 2):
        shared = sorted(examples[a].keys() & examples[b].keys())
        pairs = [(examples[a][feature], examples[b][feature]) for feature in shared]
        pairs = [(x, y) for x, y in pairs if len(x[f"{label}_before"]) and len(y[f"{label}_before"])]
        total, compared = total + len(shared), compared + len(pairs)
        if pairs:
            agreed[i, j] = agreed[j, i] = np.mean(
                [agreement(list(x[f"{label}_before"]), list(y[f"{label}_before"])) for x, y in pairs]
            )
            crossed = [(x, y) for pair in pairs for x, y in permutations(pair)]
            scores = [agreement(list(x[f"{label}_before"]), list(y[f"{label}_control"])) for x, y in crossed]
            control[i, j] = control[j, i] = np.mean(scores)
    return agreed, control, total, compared


def cosines(vectors: Floats, others: Floats | None = None) -> Floats:
    """Return the cosine of every row of ``vectors [n, d]`` with every row of ``others [m, d]``: ``[n, m]``; 0 for a row of zeros.

    ``others`` are the vectors themselves if None.
    """
    left, right = _unit(vectors), _unit(vectors if others is None else others)
    return left @ right.T


def jaccard(a: Sequence[int], b: Sequence[int]) -> float:
    """Return |A ∩ B| / |A ∪ B|; NaN where both are empty."""
    union = len(set(a) | set(b))
    return len(set(a) & set(b)) / union if union else float("nan")


def expected_jaccard(a: int, b: int, total: int) -> float:
    """Return the mean Jaccard index of random sets of ``a`` and ``b`` out of ``total`` features (hypergeometric overlap)."""
    shared = np.arange(max(0, a + b - total), min(a, b) + 1)
    if a + b == 0:
        return float("nan")
    return float((hypergeom.pmf(shared, total, a, b) * shared / (a + b - shared)).sum())


def expected_shared(a: int, b: int, total: int) -> float:
    """Return the mean number of features that random sets of ``a`` and ``b`` out of ``total`` share."""
    return a * b / total


def effect_matrix(features: Sequence[NDArray[np.int64]], values: Sequence[Floats], width: int) -> Floats:
    """Return effects, given as lists of features and values, as dense rows ``[vectors, width]``."""
    matrix = np.zeros((len(features), width))
    for row, (places, effects) in enumerate(zip(features, values, strict=True)):
        matrix[row, places] = effects
    return matrix


def pair_draws(matrix: Floats, wanted: Mask, weights: Floats) -> Floats:
    """Return the mean over the wanted pairs of countries, observed and resampled.

    Two pairs that share a country are not independent, so countries are drawn, not pairs: a country drawn w times counts w
    times in each of its pairs, and no pair joins a country with itself.

    Args:
        matrix: a number for each ordered pair, ``[countries, countries]``; NaN where there is none.
        wanted: which pairs.
        weights: how often each country is drawn, ``[1 + resamples, countries]``; row 0 is all ones (``fact_weights``).

    Returns:
        ``[1 + resamples]``: the observed mean, then the resampled ones; NaN where a draw holds no wanted pair, and in all
        draws where fewer than three countries have one.
    """
    used = wanted & np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    total = (weights @ np.where(used, matrix, 0.0) * weights).sum(axis=1)
    count = (weights @ used.astype(float) * weights).sum(axis=1)
    return _ratio(total, count, countries=int((used | used.T).any(axis=1).sum()))


def mean_draws(values: Floats, weights: Floats) -> Floats:
    """Return the mean over countries of ``values [countries]`` (NaN: left out), observed and resampled: ``[1 + resamples]``."""
    known = np.isfinite(values)
    return _ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(float), countries=int(known.sum()))


def percentile_interval(draws: Floats, confidence: float) -> tuple[float, float, float]:
    """Return the observed value and the bounds of its percentile interval; bounds are NaN where there is none."""
    row = intervals(pd.DataFrame(draws[None]), confidence).iloc[0]
    return float(row["value"]), float(row["low"]), float(row["high"])


def _ratio(total: Floats, count: Floats, countries: int) -> Floats:
    with np.errstate(invalid="ignore"):
        means: Floats = total / count
    if countries < FEWEST:
        means[1:] = np.nan
    return means


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.where(norms > 0, norms, 1.0)
    return unit
