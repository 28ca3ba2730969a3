"""The tables of the features study."""

from __future__ import annotations

import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import change, mean_over_countries, number, number_cell, plural
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.features.cells import CELL, coherence_cells, method_cells, overlap_cells, shared_features

NAME, TOP = "features", "features_top"
METHODS, COHERENCE, SHARED = "features_methods", "features_coherence", "features_shared"
PER_METHOD = 5  # shared features of each task, setting and method
ISOLATE, END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"

EFFECT_NOTE = (
    "Effect of a feature: mean over validation tokens of what the vector adds to the residual stream along the feature's "
    "decoder row. Sparse vectors: mean of (ReLU(s + λv) - s), times the length of the row. Dense vectors: mean of "
    "(Enc(h + λv) - Enc(h)), times the same."
)


def features_tables(vectors: pd.DataFrame, tops: pd.DataFrame, top: int, options: TableOptions) -> dict[str, Table]:
    """Return all tables of the study, by name.

    Args:
        vectors, tops: rows of the stage ``features`` over all countries, in display order (``sorted_rows``).
        top: strongest features compared.
        options: see ``TableOptions``.
    """
    countries = vectors["country"].nunique()
    tables = [
        _overlap_table(overlap_cells(vectors, top, options), top, countries, options),
        _method_table(method_cells(vectors, top, options), top, countries, options),
        _coherence_table(coherence_cells(tops, options), top, tops["country"].nunique(), options),
        _shared_table(shared_features(tops, PER_METHOD), top, countries, options),
    ]
    return {table.name: table for table in tables}


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows in display order, countries of a language together."""
    return in_order(frame, [*CELL, "language", "country"])


def _overlap_table(data: pd.DataFrame, top: int, countries: int, options: TableOptions) -> Table:
    columns: dict[str, tuple[str, int]] = {
        "touched": ("Features", 0),
        "effective": ("Effective", 1),
        "length": ("Length", 2),
        "cosine_same": ("Cosine, same language", 2),
        "cosine_other": ("Cosine, other languages", 2),
        "jaccard_same": (f"Top {top}, same language", 2),
        "jaccard_other": (f"Top {top}, other languages", 2),
        "settings": ("Cosine, other settings", 2),
    }
    groups = []
    for heading, part in _groups(data):
        lines = [
            TableRow((label("method", m),), tuple(_cell(part, m, name, places) for name, (_, places) in columns.items()))
            for m in ordered("method", part["method"])
        ]
        chance = part[part["metric"] == "jaccard_chance"]["value"].max()
        by_chance = {"cosine_same": "0", "cosine_other": "0"}
        if not pd.isna(chance):  # of one country there is no pair
            by_chance |= {"jaccard_same": number(chance), "jaccard_other": number(chance)}
        chances = tuple(Cell(by_chance[name]) if name in by_chance else None for name in columns)
        lines.append(TableRow(("By chance, at most",), chances))
        groups.append(Group(heading, tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="Vectors in features",
        caption=(
            f"How many features a vector moves, and how alike the vectors of two countries are ({plural(countries, 'country')})."
        ),
        notes=(
            EFFECT_NOTE,
            "Features: entries of a sparse vector that are not 0; of a dense one, features whose mean code it changes. "
            "Effective: (Σ|e|)² / Σe² over effects e. Length: of the mean change of the residual stream.",
            f"Cosine: of two countries' mean changes of the residual stream. Top {top}: Jaccard index of the sets of strongest "
            "features. Other settings: the same country's vectors trained on other questions. By chance: random directions; "
            "random sets of the same size (the largest over methods).",
            _interval_note(options),
        ),
        heads=("Method",),
        columns=tuple(name for name, _ in columns.values()),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def _method_table(data: pd.DataFrame, top: int, countries: int, options: TableOptions) -> Table:
    columns = {
        "cosine": "Cosine, same country",
        "cosine_elsewhere": "Cosine, another country",
        "effects": "Cosine of effects",
        "shared": f"Top {top} in common",
        "shared_chance": "By chance",
    }
    groups = []
    for heading, part in _groups(data):
        lines = []
        for key, pair in part.groupby(["method", "other"], sort=False):
            method, other = map(str, key)
            name = f"{label('method', method)} and {label('method', other)}"
            lines.append(TableRow((name,), tuple(_cell(pair, method, metric, 2) for metric in columns)))
        groups.append(Group(heading, tuple(lines)))
    sheet = Sheet(
        name=METHODS,
        title="Methods beside one another, in features",
        caption=f"How alike two methods' vectors for the same country and questions are ({mean_over_countries(countries)}).",
        notes=(
            EFFECT_NOTE,
            "Cosine: of mean changes of the residual stream; another country: one country's vector by the first method with "
            f"another country's by the second. Top {top} in common: share of the strongest features of the shorter list. By "
            "chance: random sets of the same sizes.",
            _interval_note(options),
        ),
        heads=("Methods",),
        columns=tuple(columns.values()),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def _coherence_table(data: pd.DataFrame, top: int, countries: int, options: TableOptions) -> Table:
    percent = {"fires": "Fires (%)", "fires_during": "Steered (%)", "silenced": "Silenced (%)"}
    pairs = {
        "kept_tokens": ("control_tokens", "Tokens kept"),
        "kept_topics": ("control_topics", "Topics kept"),
        "kept_mass": ("control_mass", "Activation kept"),
        "tokens_same": ("tokens_same_control", "Tokens, same language"),
        "tokens_other": ("tokens_other_control", "Tokens, other languages"),
        "topics_same": ("topics_same_control", "Topics, same language"),
        "topics_other": ("topics_other_control", "Topics, other languages"),
    }
    groups = []
    for heading, part in _groups(data):
        lines = []
        for method in ordered("method", part["method"]):
            compared, shared = _counts(part, method)
            rates = [compared, *(_cell(part, method, name, 1, scale=100.0) for name in percent), shared]
            itself = [_cell(part, method, name, 2) for name in pairs]
            control = [_cell(part, method, name, 2) for name, _ in pairs.values()]
            lines.append(TableRow((label("method", method), "itself"), (*rates, *itself)))
            lines.append(TableRow((label("method", method), "control"), (*[None] * len(rates), *control)))
        groups.append(Group(heading, tuple(lines)))
    sheet = Sheet(
        name=COHERENCE,
        title="Whether features keep their meaning",
        caption=(
            f"The {top} strongest features of each vector, before and during steering and between countries "
            f"(mean over features, then over {plural(countries, 'country')})."
        ),
        notes=(
            "Examples of a feature: its strongest tokens, one per fact. Kept: share of the examples before steering that find "
            "one with the same token (topic) during steering, on the same texts; activation: share of the activation that stays "
            "on the same tokens. Same and other languages: agreement of the examples of a feature that two countries' vectors "
            "share.",
            "Features compared: how many of all countries' features have examples before and during steering. What is kept is "
            "a mean over these; the others never fire before steering, or are silenced by it. Shared features compared: of those "
            "that two countries' vectors share, once for each pair, how many fire before steering in both.",
            "Control: instead of the feature itself, another one that fires about as often on the same texts.",
            "A dense vector shifts a feature's input by the same amount at every token, so it cannot change their order: what it "
            "can change is how many fire. Silenced: features that fire before steering and nowhere during it.",
            _interval_note(options),
        ),
        heads=("Method", "Compared with"),
        columns=("Features compared", *percent.values(), "Shared features compared", *(name for _, name in pairs.values())),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def _shared_table(shared: pd.DataFrame, top: int, countries: int, options: TableOptions) -> Table:
    """Return the table without LaTeX: its words are in many scripts."""
    groups = []
    for heading, part in _groups(shared):
        lines = []
        for row in records(part):
            cells = (
                Cell(f"{len(row['countries'])} of {countries}"),
                Cell(str(row["languages"])),
                Cell(change(row["effect"], 3)),
                Cell(_words(row["promoted"])),
            )
            lines.append(TableRow((label("method", row["method"]), f"{row['feature']}"), cells))
        groups.append(Group(heading, tuple(lines)))
    sheet = Sheet(
        name=SHARED,
        title="Features that countries share",
        caption=f"Features among the {top} strongest of the most countries, at most {PER_METHOD} per method.",
        notes=(
            EFFECT_NOTE,
            "Writes: tokens whose logits the decoder row raises most. A dot is a space.",
        ),
        heads=("Method", "Feature"),
        columns=("Countries", "Languages", "Mean effect", "Writes"),
        groups=tuple(groups),
    )
    data = shared.assign(**{name: shared[name].map(" | ".join) for name in ("countries", "promoted", "suppressed")})
    made = make_table(sheet, data, options.note)
    return Table(made.name, made.data, {suffix: text for suffix, text in made.texts.items() if suffix != "tex"})


def _groups(data: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each task and setting, with the heading that names these."""
    return [
        (f"{label('task', str(task))}, {label('setting', str(setting)).lower()}", part)
        for (task, setting), part in data.groupby(["task", "setting"], sort=False)
    ]


def _cell(part: pd.DataFrame, method: str, metric: str, digits: int, scale: float = 1.0) -> Cell | None:
    (record,) = records(part[(part["method"] == method) & (part["metric"] == metric)])
    if pd.isna(record["value"]):
        return None
    scaled = {name: scale * record[name] for name in ("value", "low", "high")}
    return number_cell(scaled, digits, detail=f"n = {record['n']}")


def _counts(part: pd.DataFrame, method: str) -> tuple[Cell, Cell]:
    """Return how many strongest and shared features are compared, of all; and why the others are not."""
    of_method = part[(part["method"] == method) & part["metric"].str.match("features|shared")]
    counts = {row["metric"]: int(row["value"]) for row in records(of_method)}
    reasons = [(counts["features_absent"], "never fire before"), (counts["features_silenced"], "silenced")]
    why = ", ".join(f"{count} {reason}" for count, reason in reasons if count)
    return (
        Cell(f"{counts['features_kept']} of {counts['features']}", f"({why})" if why else ""),
        Cell(f"{counts['shared_compared']} of {counts['shared']}"),
    )


def _interval_note(options: TableOptions) -> str:
    return (
        f"Brackets: {options.brackets('countries')} "
        "(pairs of countries follow). n, in each cell's tip and in the csv: countries, or pairs of them."
    )


def _words(tokens: list[str]) -> str:
    return " ".join(f"{ISOLATE}{token}{END}" for token in tokens[:5])
