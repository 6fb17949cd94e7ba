"""Contestants without Keras, held against those behind it by their losses and weights."""

from __future__ import annotations

import dataclasses

import pytest
from invented import ADAM, CONV, NORMALIZED, PLAIN, Contestant

from bakeoff.study import Agreement
from bakeoff.verification import compare
from bakeoff.verification.collection import Collected
from bakeoff.verification.contestants import Contestant as Who
from bakeoff.verification.reference.semantics import Semantics
from bakeoff_worker.job import TrialSettings

KERAS, OWN = Contestant(), Contestant(is_inspected=True)
NO_BIAS = (("Conv2D", {**CONV, "use_bias": False}), *PLAIN[1:])
PLAIN_SGD = {"momentum": 0.0, "nesterov": False, "learning_rate": 1e-3}
FAULTS = {
    "rate": ({"options": {**ADAM, "learning_rate": 1.01e-3}}, {"optimizer", "weights"}),
    "epsilon": ({"options": {**ADAM, "epsilon": 1e-8}}, {"optimizer"}),
    "beta": ({"options": {**ADAM, "beta_2": 0.99}}, {"weights"}),
    "rule": (
        {"optimizer": "sgd", "options": PLAIN_SGD},
        {"optimizer"},
    ),
    "start": ({"start_scale": 1.01}, {"initial weights"}),
    "loss": ({"reported": lambda loss, size: loss * size}, {"loss"}),
    "last batch": ({"batches_lost": 1}, {"epoch"}),
    "no bias": ({"layers": NO_BIAS}, {"architecture"}),
    "flipped": ({"does": Semantics().with_layer(0, flip=True)}, {"loss", "optimizer"}),
}


@pytest.fixture
def group(shown):
    """Takes contestants; gives what is said of all of them, named a, b, …"""

    def compared(*contestants):
        found = [
            Collected(Who(label, TrialSettings("jax", label), ()), "digest", shown(one))
            for label, one in zip("abcd", contestants, strict=False)
        ]
        return compare("a group", found)

    return compared


def test_one_that_trains_the_same_thing_is_certified_with_all(group):
    verified = group(
        KERAS, OWN, dataclasses.replace(KERAS, backend="other"), dataclasses.replace(OWN, backend="own")
    )
    assert verified.alike == (("a", "b", "c", "d"),)
    judgement = verified.contestants[1].judgement
    assert judgement.reference == "Keras on invented, by losses and weights"
    assert {kind: worst.difference < 1e-5 for kind, worst in judgement.worst.items()} == {
        "loss": True,
        "optimizer": True,
        "weights": True,
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_what_it_does_otherwise_is_found(group, fault):
    changes, stages = FAULTS[fault]
    verified = group(KERAS, dataclasses.replace(OWN, **changes))
    (certificate,) = verified.certificates
    assert certificate.verdict is Agreement.DIFFERENT
    assert {label for label, _ in certificate.findings} == {"b"}
    assert stages <= {finding.stage for _, finding in certificate.findings}


def test_whom_it_agrees_with_is_said_where_those_behind_keras_differ(group):
    flipped = {"does": Semantics().with_layer(0, flip=True)}
    verified = group(
        KERAS, dataclasses.replace(KERAS, backend="b", **flipped), dataclasses.replace(OWN, **flipped)
    )
    assert verified.alike == (("a",), ("b", "c"))


def test_without_one_behind_keras_two_are_held_against_each_other(group):
    verified = group(OWN, dataclasses.replace(OWN, backend="b"))
    assert verified.all_same
    verified = group(OWN, dataclasses.replace(OWN, backend="b", options={**ADAM, "learning_rate": 2e-3}))
    assert [one.verdict for one in verified.certificates] == [Agreement.DIFFERENT]


def test_moving_statistics_count_too(group):
    verified = group(Contestant(layers=NORMALIZED), Contestant(layers=NORMALIZED, is_inspected=True))
    assert verified.all_same
    slower = tuple((kind, {**one, "momentum": 0.5} if "momentum" in one else one) for kind, one in NORMALIZED)
    verified = group(Contestant(layers=NORMALIZED), Contestant(layers=slower, is_inspected=True))
    assert not verified.all_same


@pytest.mark.parametrize("is_inspected", [False, True])
def test_who_passes_over_a_batch_is_blamed_whoever_it_is(group, is_inspected):
    lost = dataclasses.replace(KERAS, backend="lost", batches_lost=1, is_inspected=is_inspected)
    for contestants, blamed in (((OWN, lost), "b"), ((lost, OWN), "a")):
        (certificate,) = group(*contestants).certificates
        assert certificate.verdict is Agreement.DIFFERENT
        assert [(label, finding.stage) for label, finding in certificate.findings] == [(blamed, "epoch")]
    assert group(lost, dataclasses.replace(OWN, batches_lost=1)).all_same
