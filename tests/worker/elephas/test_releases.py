"""What a release of Elephas does with weight changes: said in one place, and asked by all."""

from __future__ import annotations

import pytest

from bakeoff.races.contestants import as_computed
from bakeoff.study import racing
from bakeoff_worker.backends.base import Skip
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS, merging
from bakeoff_worker.distribution.elephas.releases import Release


@pytest.mark.parametrize(
    ("version", "mode", "merge", "how"),
    [
        ("0.4.5", "synchronous", "as_released", "sum"),
        ("1.2.1", "synchronous", "as_released", "sum"),
        ("2.0.0", "synchronous", "as_released", "mean"),
        ("7.3.0", "synchronous", "as_released", "mean"),
        ("0.4.5", "synchronous", "averaged", "mean"),
        ("0.4.5", "asynchronous", "as_released", "each"),
        ("7.3.0", "hogwild", "as_released", "each"),
    ],
)
def test_what_each_release_does_and_everybody_says_the_same(version, mode, merge, how):
    options = {**DISTRIBUTIONS["elephas"], "mode": mode, "merge": merge}
    assert merging(version, mode, merge) == how == Release(version).merge(options)
    said = " ".join(Release(version).arithmetic(options, 20))
    assert ("averaged, each" in said or "averaged after" in said) == (how == "mean") or version == "1.2.1"
    assert ("adds up" in said) == (how == "each")
    assert ("counts in the average" in said) == (how == "mean")
    flat = {f"distribution_options.{key}": value for key, value in options.items()}
    computed = racing.as_computed(flat, "theano", version)["distribution_options.merge"]
    assert (computed == "averaged") == (how == "mean")


def test_before_a_run_the_backend_tells_the_release():
    flat = {"distribution_options.mode": "synchronous", "distribution_options.merge": "as_released"}
    for backend, merge in (("tensorflow", "averaged"), ("theano", "as_released"), ("jax", "as_released")):
        assert racing.as_computed(flat, backend)["distribution_options.merge"] == merge
        row = {"backend": backend, **{f"settings.{key}": value for key, value in flat.items()}}
        assert as_computed(row, {})["distribution_options.merge"] == merge


@pytest.mark.parametrize("version", ["1.2.1", "2.0.0", "6.0.0", "10.0"])
def test_releases_that_were_never_driven_are_declined(version):
    with pytest.raises(Skip, match=r"not known here: expected 0\.4\.5 or a 7"):
        Release(version).check("tensorflow", DISTRIBUTIONS["elephas"])
