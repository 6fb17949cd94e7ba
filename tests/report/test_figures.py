"""Figures are tested by the data that they are handed, and by what they promise to colour-blind eyes."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest

from bakeoff import stats
from bakeoff.report import Frames, figures, vega
from bakeoff.report.contents import compose, error_table
from bakeoff.report.items import parts

pytestmark = pytest.mark.slow


def data_of(chart: Any) -> list[dict[str, Any]]:
    """All rows that a chart draws from."""
    rows: list[dict[str, Any]] = chart.rows
    return rows


def charts_of(frames: Frames) -> dict[str, figures.Chart]:
    """By item, the charts of a report's parts."""
    items = [item for part in parts(compose(frames)) for item in part.items]
    return {item.name: item.draw() for item in items if item.draw is not None}


def test_every_figure_of_a_report_obeys_the_schema(race: Callable[..., Frames]) -> None:
    charts = charts_of(race(epochs=60, device=True))
    assert list(charts) == [
        *("ratios", "times", "time-and-error", "error", "plateau", "error-time", "epoch-times", "first-step")
    ]
    for chart in charts.values():
        json.dumps(chart.spec, allow_nan=False)
        alt.Chart.from_dict({**chart.spec}, validate=True)


def test_execution_times_hold_each_repeat_their_mean_and_interval(race: Callable[..., Frames]) -> None:
    runs = race(backends=("jax",), repeats=4, datasets=("mnist",)).runs
    rows = [row for row in data_of(figures.execution_times(runs)) if row["metric"] == "Training time (s)"]
    dots = [row["value"] for row in rows if row["kind"] == "repeat"]
    assert dots == pytest.approx(runs["train_s"].to_list(), rel=1e-4)
    (mean,) = [row for row in rows if row["kind"] == "mean"]
    summary = stats.summarize(runs["train_s"].to_numpy(), bounds=stats.POSITIVE)
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx(
        (summary.mean, summary.low, summary.high), rel=1e-4
    )
    assert [row["disturbed"] for row in rows if row["kind"] == "repeat"] == [False, True, False, False]


def test_times_that_nobody_measured_have_no_panel(race: Callable[..., Frames]) -> None:
    without = {row["metric"] for row in data_of(figures.execution_times(race().runs))}
    assert without == {"Training time (s)", "Wall time (s)", "User CPU time (s)", "System CPU time (s)"}
    with_gpu = {row["metric"] for row in data_of(figures.execution_times(race(device=True).runs))}
    assert with_gpu - without == {"GPU time (s)"}


def test_many_repeats_become_a_range(race: Callable[..., Frames]) -> None:
    rows = data_of(figures.execution_times(race(repeats=41, epochs=1).runs))
    assert {row["kind"] for row in rows} == {"range", "mean"}
    assert len(rows) == 2 * 4 * 4


def test_failed_runs_are_in_no_figure(race: Callable[..., Frames], spoil: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=3)
    spoiled = spoil(frames, 0, "failed", "no reason")
    rows = data_of(figures.execution_times(spoiled.runs, ["train_s"]))
    assert [row["num"] for row in rows if row["kind"] == "repeat"] == [1, 2]
    means = [row for row in data_of(figures.error_mean_and_spread(spoiled.epochs)) if "num" in row]
    assert {row["num"] for row in means} == {2}


def test_error_curves_hold_mean_and_standard_deviation_in_percent(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=3, epochs=5)
    rows = data_of(figures.error_mean_and_spread(frames.epochs))
    table = error_table(frames.epochs)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["mean"] for row in rows] == pytest.approx(100 * table.mean(axis=0), rel=1e-4)
    assert [row["high"] for row in rows] == pytest.approx(
        100 * (table.mean(axis=0) + table.std(axis=0, ddof=1)), rel=1e-4
    )


def test_a_window_is_cut_at_the_epochs_that_exist(race: Callable[..., Frames]) -> None:
    epochs = race(epochs=60, repeats=2).epochs
    assert {row["epoch"] for row in data_of(figures.error_mean_and_spread(epochs, 50))} == set(range(1, 51))
    assert {row["epoch"] for row in data_of(figures.error_mean_and_spread(epochs, 200))} == set(range(1, 61))


@pytest.mark.parametrize(
    ("epochs", "windows"),
    [
        (10, []),
        (50, ["error-50"]),
        (51, ["error-50", "error-200"]),
        (250, ["error-50", "error-200"]),
    ],
)
def test_a_report_shows_the_windows_that_its_epochs_reach_into(
    race: Callable[..., Frames], epochs: int, windows: list[str]
) -> None:
    frames = race(epochs=epochs, repeats=2)
    assert not {"error-50", "error-200"} & set(charts_of(frames)), "a study of one's own"
    of_the_paper = charts_of(dataclasses.replace(frames, study="paper-today"))
    assert [name for name in of_the_paper if name in ("error-50", "error-200")] == windows


def test_single_runs_are_drawn_while_they_are_few(race: Callable[..., Frames]) -> None:
    few = data_of(figures.error_per_epoch(race(repeats=10, epochs=3).epochs))
    many = data_of(figures.error_per_epoch(race(repeats=11, epochs=3).epochs))
    assert sum("run_id" in row for row in few) == 4 * 10 * 3
    assert sum("run_id" in row for row in many) == 0
    assert len(many) == 4 * 3


def test_large_results_are_aggregated_before_they_are_drawn(race: Callable[..., Frames]) -> None:
    chart = figures.error_per_epoch(race(repeats=84, epochs=200).epochs)
    assert len(data_of(chart)) == 4 * 200
    assert len(json.dumps(chart.spec)) < 200_000


def test_numbers_that_are_none_are_left_out(race: Callable[..., Frames]) -> None:
    epochs = race(backends=("jax",), repeats=2, epochs=3).epochs
    broken = pl.when(pl.col("epoch") == 2).then(float("nan")).otherwise(pl.col("validation_error"))
    rows = data_of(figures.error_mean_and_spread(epochs.with_columns(validation_error=broken)))
    assert [row["epoch"] for row in rows] == [1, 3]


def test_error_against_time_adds_up_training_time(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=2, epochs=4)
    rows = data_of(figures.error_against_time(frames.epochs))
    expected = error_table(frames.epochs, "train_s").cumsum(axis=1).mean(axis=0)
    assert [row["so_far"] for row in rows] == pytest.approx(expected, rel=1e-4)


def test_first_steps_tell_cold_from_warm(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(repeats=3)).sections
    rows = data_of(figures.first_step(section.runs))
    states = {(row["contestant"], row["cache"]) for row in rows}
    assert {("theano", "cold"), ("theano", "warm"), ("jax", "no cache")} <= states


def test_ratios_are_the_firsts_time_over_the_seconds() -> None:
    verdict = stats.judge([1.0, 1.0, 1.1] * 2, [2.0, 2.1, 2.0] * 2)
    ratio = verdict.time
    (row,) = data_of(figures.time_ratios([("a", "b", verdict)]))
    assert row["pair"] == "a vs b"
    assert row["ratio"] == pytest.approx(ratio.ratio, rel=1e-4)
    assert row["low"] < row["ratio"] < row["high"]


def test_the_plateau_is_marked_once(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), epochs=60)
    found = stats.plateau(error_table(frames.epochs))
    rows = data_of(figures.remaining_improvement({"jax": found}))
    assert [row["epoch"] for row in rows if row["stop"]] == [found.epoch]


def test_a_sweep_has_a_point_for_each_value_and_backend(invented: Callable[..., Frames], trial: Any) -> None:
    trials = [
        trial(backend, label=f"{backend} · batch {size}", changes={"global_batch_size": size})
        for backend in ("jax", "torch")
        for size in (50, 100, 200)
    ]
    frames = invented(trials, repeats=3, epochs=2)
    (chart,) = [chart for name, chart in charts_of(frames).items() if "sweep" in name]
    rows = [row for row in data_of(chart) if row["metric"] == "Training time (s)"]
    assert sorted((row["contestant"], row["setting"]) for row in rows) == [
        (backend, size) for backend in ("jax", "torch") for size in ("100", "200", "50")
    ]
    expected = (
        frames.runs.filter(backend="jax").group_by("settings.global_batch_size").agg(pl.mean("train_s"))
    )
    means = {row["setting"]: row["value"] for row in rows if row["contestant"] == "jax"}
    assert means == pytest.approx({str(size): mean for size, mean in expected.iter_rows()}, rel=1e-4)


def test_a_sweep_says_who_overtakes_whom_and_how_time_grows(
    invented: Callable[..., Frames], trial: Any
) -> None:
    """JAX's time falls with the batch as torch's stays: equal at 100, so that both lead once."""
    trials = [
        trial(backend, label=f"{backend} · batch {size}", changes={"global_batch_size": size})
        for backend in ("jax", "torch")
        for size in (50, 100, 200)
    ]
    frames = invented(trials, repeats=3, epochs=2)
    size, level = pl.col("settings.global_batch_size"), 10 + pl.col("repeat")
    falling = pl.when(pl.col("backend") == "jax").then(100 / size).otherwise(1.0)
    found = dataclasses.replace(frames, runs=frames.runs.with_columns(train_s=level * falling))
    (part,) = (one for one in parts(compose(found)) if one.section)
    (item,) = (one for one in part.items if one.name == "sweep-global-batch-size")
    assert item.remarks == (
        "They cross: jax trains faster than torch at global batch size 200, and torch faster than jax at 50.",
    )
    assert item.table is not None
    times = {row[0]: row[2:] for row in item.table.rows if row[1] == "Training time"}
    assert times == {"jax": ("−1.00", "−1.00 to −1.00", "3"), "torch": ("0.00", "0.00 to 0.00", "3")}


def test_a_notebook_may_hand_over_a_readers_frame_as_it_is(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax", "torch"), repeats=2)
    names = {row["contestant"] for row in data_of(figures.error_per_epoch(frames.epochs))}
    assert names == {"mnist · jax", "mnist · torch"}
    assert "<svg" in figures.execution_times(frames.runs)._repr_svg_()


# ---- colours ------------------------------------------------------------------------------------


def test_a_backend_has_its_colour_wherever_it_appears() -> None:
    alone = figures.Palette.of([("torch", "torch")])
    among = figures.Palette.of([("x", "jax"), ("torch", "torch"), ("y", "theano")])
    assert alone.looks[0] == among.looks[among.names.index("torch")] == vega.looks()["torch"]


def test_two_contestants_of_one_backend_differ() -> None:
    palette = figures.Palette.of([("a", "jax"), ("b", "jax"), ("c", "jax")])
    for part in ("colour", "symbol", "dash"):
        assert len({getattr(look, part) for look in palette.looks}) == 3


def test_lines_and_symbols_differ_too() -> None:
    assert len(set(vega.DASHES)) == len(set(vega.SHAPES)) == len(vega.looks())


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Contrast ratio.  Source: WCAG 2.2, relative luminance."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(float(linear(colour) @ weights) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "page"), [(0, "#ffffff"), (1, "#14171c")])
def test_every_colour_stands_out_from_its_page(theme: int, page: str) -> None:
    backends = [(look.colour, look.dark) for look in vega.looks().values()]
    colours = [pair[theme] for pair in (*backends, *vega.SPARE_COLOURS)]
    assert {colour: contrast(colour, page) for colour in colours if contrast(colour, page) < 3} == {}


# Source: Machado, Oliveira and Fernandes (2009), severity 1.
BLINDNESS = {
    "none": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Perceptual coordinates.  Source: Ottosson (2020)."""
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(to_cones @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", [0, 1])
def test_backends_stay_apart_for_colour_blind_eyes(theme: int, blindness: str) -> None:
    seen = {
        name: oklab(np.array(BLINDNESS[blindness]) @ linear((look.colour, look.dark)[theme]))
        for name, look in vega.looks().items()
        if name != "fake"
    }
    close = {
        (a, b): round(float(np.linalg.norm(seen[a] - seen[b])), 3)
        for a, b in itertools.combinations(seen, 2)
        if np.linalg.norm(seen[a] - seen[b]) < 0.08
    }
    assert close == {}
