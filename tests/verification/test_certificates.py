"""What may be said of a pair, and who trains the same thing."""

from __future__ import annotations

import dataclasses
import json

import pytest
from invented import CONV, PLAIN, Contestant

from bakeoff.verification import SAME, UNKNOWN, compare
from bakeoff.verification.certificates import DIFFERENT, certify
from bakeoff.verification.collection import Collected
from bakeoff.verification.contestants import Contestant as Who
from bakeoff.verification.examination import examine
from bakeoff.verification.reference.semantics import Semantics
from bakeoff_worker.records import TrialSettings

FLIPPED = Contestant(does=Semantics().with_layer(0, flip=True))


def nobody(contestant, precision):
    raise AssertionError("nothing more is to be computed")


@pytest.fixture
def group(shown):
    """Takes contestants by label (None: one that failed); gives what is said of all of them."""

    def compared(collected=nobody, **contestants):
        found = []
        for label, contestant in contestants.items():
            settings = TrialSettings("jax", label)
            evidence = shown(contestant) if contestant else None
            reason = "" if contestant else "failed: no memory"
            found.append(Collected(Who(label, settings, ()), "digest", evidence, reason))
        return compare("a group", found, collected)

    return compared


def test_contestants_that_differ_from_the_reference_alike_are_alike(group):
    verified = group(a=Contestant(), b=FLIPPED, c=Contestant(), d=dataclasses.replace(FLIPPED, backend="d"))
    assert verified.alike == (("a", "c"), ("b", "d"))
    assert not verified.all_same
    verdicts = {(one.one, one.other): one.verdict for one in verified.certificates}
    assert [pair for pair, verdict in verdicts.items() if verdict == SAME] == [("a", "c"), ("b", "d")]
    apart = next(one for one in verified.certificates if (one.one, one.other) == ("a", "b"))
    ((label, finding),) = apart.findings
    assert (label, finding.cause) == ("b", "kernel_flipped")
    assert apart.direct["forward"].difference > 0.1
    assert json.loads(json.dumps(verified.document()))["alike"] == [["a", "c"], ["b", "d"]]


def test_all_the_same(group):
    verified = group(a=Contestant(), b=Contestant(backend="b"))
    assert verified.all_same and verified.alike == (("a", "b"),)
    (certificate,) = verified.certificates
    assert {kind: worst.difference < 1e-5 for kind, worst in certificate.direct.items()} == {
        "forward": True,
        "gradients": True,
        "weights": True,
    }


def test_one_that_failed_is_compared_with_nobody(group):
    verified = group(a=Contestant(), b=None)
    (certificate,) = verified.certificates
    assert certificate.verdict == UNKNOWN
    assert certificate.reason == "b: failed: no memory"
    assert verified.examined[1].judgement is None
    assert not verified.all_same


def test_the_usual_one_is_the_measure_whoever_comes_first(group):
    odd = Contestant((("Conv2D", {**CONV, "use_bias": False}), *PLAIN[1:]))
    verified = group(odd=odd, a=Contestant(), b=Contestant())
    findings = {one.label: one.judgement.findings for one in verified.examined}
    assert findings["odd"][0].text == "use_bias is False, not True"
    assert findings["a"] == findings["b"] == ()


def test_own_draws_are_nobody_elses(shown):
    """Two contestants that start from draws of their own differ from a third alike, and from each other."""
    third, one, other = (
        shown(Contestant(start_scale=scale, own_draws=scale != 1.0)) for scale in (1.0, 1.1, 1.2)
    )
    judgements = [examine(each, third) for each in (one, other)]
    meanings = [{finding.meaning for finding in each.findings} for each in judgements]
    assert meanings[0] == meanings[1]
    certificate = certify(("one", "other"), tuple(judgements), (one, other))
    assert certificate.verdict == DIFFERENT
    assert {finding.cause for _, finding in certificate.findings} == {"own_draw"}


def test_what_both_do_in_a_way_that_nobody_knows_may_still_be_the_same(group):
    strange = Contestant(reported=lambda value, size: value * 1.01 + 0.01)
    verified = group(a=strange, b=dataclasses.replace(strange, backend="b"), c=Contestant())
    assert verified.alike == (("a", "b"), ("c",))


def test_a_layer_that_the_reference_lacks_asks_for_one_run_in_double_precision(group, shown):
    asked = []

    def collected(contestant, precision):
        asked.append((contestant.label, precision))
        return Collected(contestant, "digest", shown(Contestant(is_keras=False, precision=precision)))

    own = Contestant(is_keras=False)
    verified = group(collected, a=own, b=dataclasses.replace(own, backend="b"))
    assert asked == [("a", "float64")]
    assert verified.all_same
    assert "in float64, since the reference has no layer Conv2D" in verified.examined[0].judgement.reference
