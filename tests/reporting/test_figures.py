"""Figures from small frames: what is drawn, where it stands, equal bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from yapo.errors import YapoError
from yapo.reporting.figures import layer_discovery, multiplier_curves, summary
from yapo.reporting.style import STYLE, colour, marker, new_figure, write_figure
from yapo.reporting.training_figures import epoch_accuracy, training_curves

TASKS, SETTINGS = ("mcq", "open_ended"), ("localized", "nonlocalized", "both")
NOTE = "Embedded world: shows that the machinery works; no evidence about culture or large models."


def curves(countries: tuple[str, ...] = ("egypt", "morocco"), lengths: tuple[int, ...] = (12, 9)) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for country, length in zip(countries, lengths, strict=False):
        for task in TASKS:
            for setting in SETTINGS:
                for method, reach in (("bipo", 1.0), ("yapo", 6.0)):
                    where = {"country": country, "task": task, "setting": setting, "method": method}
                    for step in range(1, length + 1):
                        loss = math.log(2) * math.exp(-0.1 * reach * step)
                        rows.append({**where, "kind": "step", "step": step, "loss": loss, "displacement": reach * step})
                        if step % 3 == 0:
                            rows.append(
                                {**where, "kind": "epoch", "step": step, "epoch": step // 3, "validation_loss": loss + 0.1}
                            )
                rows.append({"country": country, "task": task, "setting": setting, "method": "caa", "kind": "epoch", "epoch": 1})
    return pd.DataFrame(rows)


def validation() -> pd.DataFrame:
    rows = []
    for language, country, level in (("Arabic", "egypt", 0.3), ("Arabic", "morocco", 0.5), ("Hindi", "india", 0.4)):
        for task in TASKS:
            for setting in SETTINGS:
                where = {"language": language, "country": country, "task": task, "setting": setting, "n": 30, "n_facts": 10}
                scale = 1 if task == "mcq" else 10

                def add(
                    method: str, epoch: int, multiplier: float, score: float, selected: bool, where=where, scale=scale
                ) -> None:
                    failures = 0.4 if multiplier > 1 else 0.0
                    row = {"method": method, "epoch": epoch, "multiplier": multiplier, "parse_failure_rate": failures}
                    rows.append({**where, **row, "score": scale * score, "selected": selected})

                add("baseline", 0, 0.0, level, True)
                for multiplier in (0.5, 1.0, 2.0):
                    add("caa", 1, multiplier, level + 0.1, multiplier == 0.5)
                for method in ("bipo", "yapo"):
                    for epoch in (1, 2, 3):
                        add(method, epoch, 1.0, level + 0.05 * epoch, False)
                    for multiplier in (0.0, 0.5, 2.0):
                        add(method, 3, multiplier, level + 0.1 * multiplier, multiplier == 2.0)
    return pd.DataFrame(rows)


def layers() -> pd.DataFrame:
    rows = []
    for country in ("egypt", "morocco"):
        for task in TASKS:
            for curve in ("patching", "patching_western", "steerability"):
                for layer in range(4):
                    value = 0.2 + 0.1 * layer
                    row = {"curve": curve, "task": task, "country": country, "layer": layer, "value": value, "n": 30}
                    rows.append({**row, "low": value - 0.05, "high": value + 0.05, "base": 0.1, "ceiling": 0.9})
    return pd.DataFrame(rows)


def scores() -> pd.DataFrame:
    cells = [
        {"task": task, "setting": setting, "method": method, "value": 10.0 + place, "low": 9.0 + place, "high": 12.0 + place}
        for task in TASKS
        for setting in SETTINGS
        for place, method in enumerate(("baseline", "caa", "yapo"))
    ]
    return pd.DataFrame(cells)


def narrow(frame: pd.DataFrame) -> pd.DataFrame:
    """One country, one task, one setting."""
    return frame.query("country == 'egypt' and task == 'mcq' and setting == 'nonlocalized'")


FIGURES: dict[str, Callable[[], Figure]] = {
    "training": lambda: training_curves(curves(), validation(), note=NOTE),
    "training over displacement": lambda: training_curves(curves(("egypt",)), validation(), "displacement"),
    "layers": lambda: layer_discovery(layers(), 1, "steerability", note=NOTE),
    "epochs": lambda: epoch_accuracy(validation(), note=NOTE),
    "multipliers": lambda: multiplier_curves(validation(), note=NOTE),
    "summary": lambda: summary(scores(), note=NOTE),
    "narrow training": lambda: training_curves(narrow(curves()), narrow(validation()), note=NOTE),
    "narrow layers": lambda: layer_discovery(layers().query("country == 'egypt' and task == 'mcq'")[:8], 1, "patching", NOTE),
    "narrow epochs": lambda: epoch_accuracy(narrow(validation()), note=NOTE),
    "narrow multipliers": lambda: multiplier_curves(narrow(validation()), note=NOTE),
    "narrow summary": lambda: summary(scores().query("task == 'mcq' and setting == 'both'"), note=NOTE),
}


@pytest.mark.parametrize(
    "name", [name if "narrow" in name or name == "summary" else pytest.param(name, marks=pytest.mark.slow) for name in FIGURES]
)
def test_no_text_is_clipped_and_the_legend_hides_no_panel(name: str) -> None:
    figure = FIGURES[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert drawn.x0 > -0.01 and drawn.y0 > -0.01 and drawn.x1 < width + 0.01 and drawn.y1 < height + 0.01
    around = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert min(axes.get_window_extent(renderer).height for axes in figure.axes) > 0.4 * figure.dpi
    assert figure.get_suptitle()
    title = next(text for text in figure.texts if text.get_text() == figure.get_suptitle())
    assert not any(title.get_window_extent(renderer).overlaps(box) for box in around)
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert not any(box.overlaps(panel) for panel in around)


@pytest.mark.parametrize("name", [pytest.param("narrow training", marks=pytest.mark.slow), "narrow summary"])
def test_equal_frames_give_equal_files(name: str, tmp_path: Path) -> None:
    first = write_figure(FIGURES[name](), tmp_path / "one.two")
    second = write_figure(FIGURES[name](), tmp_path / "again")
    assert [path.name for path in first] == ["one.two.svg", "one.two.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png", ".png", ".svg", ".svg"]


def test_training_panels_hold_loss_validation_and_parse_failures() -> None:
    figure = training_curves(curves(("egypt",)), validation()[lambda frame: frame["country"] == "egypt"])
    assert len(figure.axes) == 3 * len(TASKS) * len(SETTINGS)
    loss, score = figure.axes[0], figure.axes[3]
    assert loss.get_title(loc="left") == "Multiple choice, localized"
    assert (score.get_ylabel(), figure.axes[6].get_ylabel()) == ("accuracy (%)\n(validation)", "Parse\nfailures (%)")
    drawn = {line.get_color(): line.get_xydata() for line in score.lines}
    np.testing.assert_allclose(drawn[colour("yapo")], [[3, 35], [6, 40], [9, 45]])
    raw = next(line for line in loss.lines if line.get_color() == colour("yapo") and line.get_alpha() == 0.3)
    assert len(raw.get_xdata()) == 12
    dots = [line.get_xydata() for line in loss.lines if line.get_color() == colour("bipo") and line.get_linestyle() == "None"]
    assert len(dots) == 1 and dots[0][0][1] == pytest.approx(math.log(2) * math.exp(-0.3) + 0.1)


def test_mean_loss_ends_with_the_shortest_run() -> None:
    figure = training_curves(curves(), validation())
    bold = [line for line in figure.axes[0].lines if line.get_color() == colour("yapo") and line.get_alpha() is None]
    assert max(line.get_xdata().max() for line in bold if line.get_linestyle() == "-") <= 9


def test_displacement_moves_sparse_curves_to_the_right() -> None:
    axes = training_curves(curves(("egypt",)), validation(), "displacement").axes[0]
    reach = {line.get_color(): line.get_xdata().max() for line in axes.lines if line.get_alpha() == 0.3}
    assert reach == {colour("bipo"): 12, colour("yapo"): 72}


def test_training_before_the_first_epoch_ends() -> None:
    steps = curves()[lambda frame: frame["kind"] == "step"].drop(columns=["validation_loss", "epoch"])
    assert training_curves(steps, validation()).axes


def test_epochs_show_the_mean_and_the_spread_over_countries() -> None:
    figure = epoch_accuracy(validation())
    arabic = figure.axes[0]
    assert arabic.get_title(loc="left") == "Arabic"
    yapo = next(line for line in arabic.lines if line.get_color() == colour("yapo"))
    np.testing.assert_allclose(yapo.get_xydata(), [[1, 45], [2, 50], [3, 55]])
    caa = next(line for line in arabic.lines if line.get_color() == colour("caa"))
    assert caa.get_linestyle() == "--" and caa.get_ydata()[0] == pytest.approx(50)
    bands = [band.get_paths()[0].get_extents() for band in arabic.collections]
    assert (bands[0].y0, bands[0].y1) == (pytest.approx(35), pytest.approx(65))


def test_multipliers_show_the_chosen_epoch_and_mark_the_choice() -> None:
    axes = multiplier_curves(validation()[lambda frame: frame["country"] == "egypt"]).axes[0]
    yapo = next(line for line in axes.lines if line.get_color() == colour("yapo"))
    np.testing.assert_allclose(yapo.get_xydata(), [[0, 30], [0.5, 35], [1, 45], [2, 50]])  # at 1: the third epoch
    base = next(line for line in axes.lines if line.get_color() == colour("baseline"))
    assert base.get_linestyle() == "--" and base.get_ydata()[0] == pytest.approx(30)
    assert [2.0, pytest.approx(50)] in [list(points.get_offsets()[0]) for points in axes.collections]


def test_multiplier_curves_meet_in_the_unsteered_model_at_zero() -> None:
    rows = validation()[
        lambda frame: (frame["country"] == "egypt") & ((frame["multiplier"] != 0) | (frame["method"] == "baseline"))
    ]
    axes = multiplier_curves(rows).axes[0]
    yapo = next(line for line in axes.lines if line.get_color() == colour("yapo"))
    np.testing.assert_allclose(yapo.get_xydata()[0], [0, 30])


def test_dollar_signs_in_a_name_are_no_formula() -> None:
    with rc_context(STYLE):
        axes = new_figure(2, 2).subplots()
        axes.set_title("$5 or $6")
    assert not axes.title.get_parse_math()


def test_methods_of_ones_own_never_share_a_look() -> None:
    names = [f"method_{number}" for number in range(60)]
    looks = {name: (colour(name), marker(name)) for name in names}
    assert len({tone for tone, _ in looks.values()} | {colour(name) for name in ("yapo", "bipo", "baseline")}) == 63
    assert {name: (colour(name), marker(name)) for name in reversed(names)} == looks


def test_layers_mark_the_choice_and_what_made_it() -> None:
    figure = layer_discovery(layers(), 2, "patching")
    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert ["chooses the layer" in title for title in titles] == [True, True, False, False]
    assert figure.axes[0].get_ylabel().startswith("Egypt")
    assert all(any(list(line.get_xdata()) == [2, 2] for line in axes.lines) for axes in figure.axes)
    steer = next(line for line in figure.axes[2].lines if line.get_marker() == "o")
    assert steer.get_ydata()[0] == pytest.approx(20)  # validation accuracy in percent


def test_summary_draws_every_dot_within_its_interval() -> None:
    figure = summary(scores())
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["Localized", "Non-localized", "Both"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Baseline", "CAA", "YaPO"]
    spans = [line.get_xdata() for line in figure.axes[0].lines if line.get_alpha() == 0.5]
    assert [list(span) for span in spans] == [[9, 12], [10, 13], [11, 14]]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            lambda: training_curves(curves().query("method == 'caa'"), validation()),
            "No method of this study is trained in steps.",
        ),
        (lambda: layer_discovery(layers().iloc[:0], 7, "configured"), "Layer 7 was set by the configuration"),
    ],
)
def test_a_study_that_skips_a_part_gets_a_figure_that_says_so(call: Callable[[], Figure], reason: str) -> None:
    (axes,) = call().axes
    assert reason in axes.texts[0].get_text()


@pytest.mark.parametrize(
    "call",
    [
        lambda: epoch_accuracy(validation().iloc[:0]),
        lambda: multiplier_curves(validation().iloc[:0]),
        lambda: summary(scores().iloc[:0]),
    ],
)
def test_empty_input_is_refused(call: Callable[[], Figure]) -> None:
    with pytest.raises(YapoError, match=r"stage|train"):
        call()
