import dataclasses
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bakeoff import races, session
from bakeoff.execute import Listener
from bakeoff.launchers import fake
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, RATIO, Metric, OfPhase
from bakeoff.report.figures import execution_times
from bakeoff.report.tables import summary
from bakeoff.store.reader import Reader
from bakeoff.study import load


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("train_s", 1.23456, "1.235"),
        ("train_s", 123.456, "123.5"),
        ("train_s", 12345.6, "12\u202f346"),
        ("train_s", None, "–"),
        ("train_s", float("nan"), "–"),
        ("train_s", float("inf"), "∞"),
        ("validation_error", 0.0079, "0.79"),
        ("peak_memory_bytes", 900 * 2**20, "900"),
    ],
)
def test_texts(name: str, value: float | None, text: str) -> None:
    assert METRICS[name].text(value) == text


def test_a_column_has_one_number_of_decimals() -> None:
    assert METRICS["train_s"].texts([1.0, 100.0, None]) == ["1.0", "100.0", "–"]


def test_variances_are_in_the_square_of_the_shown_unit() -> None:
    assert METRICS["validation_error"].squares([0.01**2, 4e-10, 0.0, None]) == [
        "1.00",
        "4.00 × 10⁻⁶",
        "0",
        "–",
    ]


def test_signs_are_typographic_and_zero_has_none() -> None:
    assert ERROR_DIFFERENCE.text(-0.0002) == "−0.02"
    assert ERROR_DIFFERENCE.text(-0.0000001) == "0.00"
    assert RATIO.text(3.1) == "3.10"


def test_ratios_that_span_powers_of_ten_all_show_digits() -> None:
    assert RATIO.texts([0.0339, 2.2, 143.06, float("inf"), None]) == ["0.0339", "2.20", "143", "∞", "–"]


def test_every_metric_names_its_unit_and_direction() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.heading.startswith(metric.label)
        assert math.isfinite(metric.shown(1.0))
    assert METRICS["throughput_images_per_s"].lower_is_better is False
    assert METRICS["train_s"].heading == "Training time (s)"


def frames_of(folder: Path) -> races.Frames:
    """Two trials of the fake launcher's, read from a store."""
    images = np.zeros((20, 4, 4, 1), np.uint8)
    labels = np.arange(20) % 2
    np.savez(folder / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (folder / "two.toml").write_text(
        'defaults = { backend = "fake", dataset = "data.npz", epochs = 2 }\n'
        "matrix.global_batch_size = [5, 10]\n"
    )
    study = load(folder / "two.toml")
    session.complete(
        study,
        folder / "two.sqlite",
        listener=Listener(),
        tell=lambda line: None,
        launcher=fake.launch,
        verify=False,
    )
    with Reader(folder / "two.sqlite") as reader:
        return races.read(reader)


def shown(frames: races.Frames) -> tuple[dict[str, str], set[str], set[str]]:
    """Measures beside the verdict, headings of the table of results, panels of the figure of times."""
    (section,) = races.compose(frames)
    (race,) = section.races
    chart = execution_times(section.runs_of(race)).to_dict()
    panels = {row["metric"] for rows in chart["datasets"].values() for row in rows}
    words = dict(races.sentences.measure_words(race.comparisons[0]))
    return words, {row[0] for row in summary(section).rows}, panels


def test_a_quantity_more_is_one_entry_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    building = Metric(
        *("build_s", "Building", "s"),
        source=OfPhase("build"),
        compared="time to build",
        in_summary=True,
        in_figure=True,
    )
    monkeypatch.setitem(METRICS, "build_s", building)
    frames = frames_of(tmp_path)
    assert (frames.runs["build_s"] > 1).all()
    words, headings, panels = shown(frames)
    assert words["time to build"].startswith("1.00")
    assert "Building (s)" in headings & panels


def test_energy_is_compared_tabulated_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    frames = frames_of(tmp_path)
    assert frames.runs["energy_j"].is_null().all()
    _, headings, panels = shown(frames)
    assert not [name for name in headings | panels if "Energy" in name], "nobody counted any"
    counted = frames.runs.with_columns(energy_j=20.0 * pl.col("train_s"))
    words, headings, panels = shown(dataclasses.replace(frames, runs=counted))
    assert words["energy of the processors while training"]
    assert "Energy of the processors (J)" in headings & panels
