"""Initial weights: their moments, their bounds, their independence."""

import math

import numpy as np
import pytest

from bakeoff_worker import weights

SHAPE = (5, 5, 40, 60)
FAN_IN, FAN_OUT = 1000.0, 1500.0


def drawn(initializer, config=None, seed=3, index=0, shape=SHAPE):
    return weights.draw(initializer, config or {}, shape, seed, index)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((20, 30), (20, 30)),
        ((5, 5, 40, 60), (1000, 1500)),
        ((3, 2, 4), (6, 12)),
    ],
)
def test_fans_count_the_receptive_field(shape, expected):
    assert weights.fans(shape) == expected


@pytest.mark.parametrize(
    ("initializer", "config", "variance"),
    [
        ("GlorotUniform", {}, 2 / (FAN_IN + FAN_OUT)),
        ("GlorotNormal", {}, 2 / (FAN_IN + FAN_OUT)),
        ("HeUniform", {}, 2 / FAN_IN),
        ("HeNormal", {}, 2 / FAN_IN),
        ("LecunUniform", {}, 1 / FAN_IN),
        ("LecunNormal", {}, 1 / FAN_IN),
        ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}, 3 / FAN_OUT),
        ("VarianceScaling", {"scale": 3.0, "mode": "fan_in", "distribution": "truncated_normal"}, 3 / FAN_IN),
        (
            "VarianceScaling",
            {"scale": 3.0, "mode": "fan_in", "distribution": "untruncated_normal"},
            3 / FAN_IN,
        ),
        (
            "VarianceScaling",
            {"scale": 2.0, "mode": "fan_in", "distribution": "normal"},
            2 / FAN_IN,
        ),  # Keras 2
        ("RandomUniform", {"minval": -0.1, "maxval": 0.1}, 0.2**2 / 12),
        ("RandomNormal", {"mean": 0.0, "stddev": 0.05}, 0.05**2),
        ("TruncatedNormal", {"mean": 0.0, "stddev": 0.05}, 0.05**2 * 0.87962566103423978**2),
    ],
)
def test_variance_is_what_the_formula_says(initializer, config, variance):
    values = drawn(initializer, config)
    # 60,000 values: the mean's standard error is 0.4 % of the deviation, the variance's about 0.6 %.
    assert values.shape == SHAPE
    assert abs(values.mean()) < 4 * math.sqrt(variance / values.size)
    assert values.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("initializer", ["GlorotNormal", "HeNormal"])
def test_truncated_normals_stay_within_two_deviations_before_scaling(initializer):
    values = drawn(initializer)
    scale = {"GlorotNormal": 2 / (FAN_IN + FAN_OUT), "HeNormal": 2 / FAN_IN}[initializer]
    assert np.abs(values).max() <= 2 * math.sqrt(scale) / 0.87962566103423978


def test_uniforms_fill_their_bounds():
    limit = math.sqrt(6 / (FAN_IN + FAN_OUT))
    values = drawn("GlorotUniform")
    assert 0.999 * limit < np.abs(values).max() <= limit


def test_mean_moves_a_normal():
    assert drawn("RandomNormal", {"mean": 2.0, "stddev": 0.1}).mean() == pytest.approx(2.0, abs=0.01)
    assert drawn("TruncatedNormal", {"mean": 2.0, "stddev": 0.1}).mean() == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("unknown", ["MyOwn", "VarianceOfMine"])
def test_an_unknown_initializer_is_left_to_the_framework(unknown):
    assert drawn(unknown) is None


def test_seed_and_place_decide_the_values():
    same, other_seed, other_place = drawn("HeNormal"), drawn("HeNormal", seed=4), drawn("HeNormal", index=1)
    np.testing.assert_array_equal(drawn("HeNormal"), same)
    assert abs(np.corrcoef(same.ravel(), other_seed.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(same.ravel(), other_place.ravel())[0, 1]) < 0.02


def test_digest_sees_every_value_and_the_order():
    a, b = np.zeros(3, "float32"), np.ones(2, "float32")
    digests = {
        weights.sha256([a, b]),
        weights.sha256([b, a]),
        weights.sha256([a, b + 1e-6]),
        weights.sha256([a]),
    }
    assert len(digests) == 4
    assert weights.sha256([a.astype("float64"), b]) == weights.sha256([a, b])


@pytest.mark.parametrize("shape", [(6, 24), (24, 6), (3, 3, 4, 8), (5, 5)])
def test_orthogonal_matrices_are_orthogonal(shape):
    matrix = drawn("Orthogonal", {"gain": 2.0}, shape=shape).reshape(-1, shape[-1])
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4.0 * np.eye(len(product)), atol=1e-14)


def test_orthogonal_matrices_are_uniform_among_all():
    """No entry, and no sign, is favoured: means are zero, squares one over the length."""
    many = np.array([drawn("Orthogonal", {"gain": 1.0}, index=index, shape=(4, 3)) for index in range(4000)])
    assert np.abs(many.mean(axis=0)).max() < 0.03
    np.testing.assert_allclose((many**2).mean(axis=0), 0.25, atol=0.02)
