"""Where the time goes, in a report: findings first, then a budget, a roofline and layers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import bakeoff
from bakeoff import report
from bakeoff.profile.profiled import VERSION, Answer, Profiled
from bakeoff.profile.roofline import roofline
from bakeoff.report.item import Part
from bakeoff.store.reader import Reader
from bakeoff.store.writer import ProfileRow, Writer
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import Ceilings, LayerDescribed, PhaseEnded, ProfiledEpoch, RunEnded, VariantTimed

# 10 images a step of 1 s: a convolution takes 40 % of it, pooling 30 %, all else the rest.
LAYERS = Answer(
    (
        LayerDescribed("conv", "Conv2D", [4, 4, 1], [2, 2, 8], [[3, 3, 1, 8], [8]], {}),
        LayerDescribed("pool", "MaxPooling2D", [2, 2, 8], [1, 1, 8], [], {"pool_size": [2, 2]}),
        LayerDescribed("dense", "Dense", [8], [3], [[8, 3], [3]], {}),
        Ceilings(product_flops=1e5, convolution_flops=2e5, copy_bytes_per_s=1e4, value_bytes=4),
        *(
            VariantTimed(depth, twin, turn, 10, step_s, step_s / 3)
            for turn in range(12)
            for depth, twin, step_s in ((0, "", 0.3), (1, "", 0.7), (2, "", 1.0), (2, "pool", 0.8))
        ),
    ),
    1.0,
    RunEnded("ok"),
)
BUDGET = Answer(
    (
        *(
            PhaseEnded(name, 1.0, 1.0, 0.0)
            for name in ("interpreter", "import", "data", "build", "facts", "end")
        ),
        ProfiledEpoch(1, 100, 10, 10, 1.0, 10.0, 5.0, 5.0, 20_000),
    ),
    17.5,
    RunEnded("ok"),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented runs of two contestants, to be copied."""
    file = tmp_path_factory.mktemp("ran") / "smoke.sqlite"
    bakeoff.run("smoke", file, progress=False)
    return file


@pytest.fixture
def unprofiled(ran: Path, tmp_path: Path) -> Path:
    """A store of them."""
    return Path(shutil.copy(ran, tmp_path))


@pytest.fixture
def store(unprofiled: Path) -> Path:
    """The same with a profile of the first contestant."""
    profiled = Profiled("fake", TrialSettings("fake", "fake"), {"budget": BUDGET, "layers": LAYERS})
    keep(unprofiled, profiled)
    return unprofiled


def keep(file: Path, profiled: Profiled, **changes: object) -> None:
    with Reader(file) as reader:
        run = reader.runs().row(0, named=True)
    conditions = {key: run[key] for key in ("trial_id", "label", "machine_id", "environment_digest")}
    row = ProfileRow(**conditions, profile_version=VERSION, document=profiled.document())
    with Writer(file) as writer:
        writer.add_profile(replace(row, **changes))


def part(file: Path) -> Part | None:
    with Reader(file) as reader:
        found = report.items.parts(report.compose(report.read(reader)))
    return next((one for one in found if one.title == "Profile"), None)


def test_findings_come_first_with_what_acts_on_them(store: Path, tmp_path: Path) -> None:
    found = part(store)
    assert found is not None
    assert [one.name for one in found.items] == ["findings", "budget", "limits", "layers"]
    faults, pooling = found.items[0].claims
    assert (
        "2,000 page faults a step" in faults.claim
        and "pool takes 30 % (30 to 30) of the step" in pooling.claim
    )
    assert faults.numbers.endswith(" --set defaults.keep_memory=true") and "keras.ops.max" in pooling.numbers
    with Reader(store) as reader:
        page = report.render(reader, tmp_path / "page.html").read_text()
    assert page.index("What to tune") < page.index("Where the time of a small run goes")


def test_a_budget_adds_up(store: Path) -> None:
    found = part(store)
    assert found is not None and found.items[1].draw and found.items[1].table
    cells = [row for row in found.items[1].table.rows if row[1] == "Steady steps"]
    assert [row[2:] for row in cells] == [("10.00", "57")]
    bars = found.items[1].draw().spec["datasets"]["rows"]
    assert bars[0]["start"] == 0 and bars[-1]["stop"] == 100 and len(bars) == 9
    assert [bar["start"] for bar in bars[1:]] == [bar["stop"] for bar in bars[:-1]]


def test_a_layer_stands_below_what_the_machine_can() -> None:
    """By hand: 2 x 9 x 8 x 4 operations forward, as many for the weights; 16 values in, 32 out."""
    found = roofline(LAYERS)
    assert found is not None
    (point,) = found.points  # pooling multiplies nothing, and the last layer is in all else
    operations, moved = 10 * 2 * 576, (2 * 10 * (16 + 32) + 3 * 80) * 4
    assert point.intensity == pytest.approx(operations / moved)
    assert (
        point.flops_per_s == pytest.approx(operations / 0.4) and point.low <= point.flops_per_s <= point.high
    )
    assert found.ridge == 20 and found.roof(point.intensity) == pytest.approx(1e4 * operations / moved)
    assert found.roof(100) == 2e5


@pytest.mark.parametrize("other", ["machine_id", "environment_digest", "trial_id", "profile_version"])
def test_a_profile_under_other_conditions_than_the_runs_is_not_shown(unprofiled: Path, other: str) -> None:
    profiled = Profiled("fake", TrialSettings("fake", "fake"), {"budget": BUDGET})
    keep(unprofiled, profiled, **{other: VERSION + 1 if other == "profile_version" else "another"})
    assert part(unprofiled) is None
    keep(unprofiled, profiled)
    shown = part(unprofiled)
    assert shown is not None and [one.name for one in shown.items] == ["findings", "budget", "layers"][:2]
