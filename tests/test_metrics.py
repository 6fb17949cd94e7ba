import math

import pytest

from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, RATIO


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
