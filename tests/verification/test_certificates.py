"""What may be said of a pair, and who trains the same thing."""

from __future__ import annotations

import dataclasses
import json

import pytest
from invented import CONV, PLAIN, Contestant

from bakeoff.verification import Agreement, Why, compare
from bakeoff.verification.certificates import certify
from bakeoff.verification.collection import Collected
from bakeoff.verification.contestants import Contestant as Who
from bakeoff.verification.examination import examine
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.votes import Panel, Voter
from bakeoff.verification.words import lines
from bakeoff_worker.job import TrialSettings

FLIPPED = Contestant(does=Semantics().with_layer(0, flip=True))


@pytest.fixture
def group(shown):
    """Takes contestants by label (None: one that failed); gives what is said of all of them."""

    def compared(**contestants):
        found = []
        for label, contestant in contestants.items():
            settings = TrialSettings("jax", label)
            evidence = shown(contestant) if contestant else None
            reason = "" if contestant else "failed: no memory"
            found.append(Collected(Who(label, settings, ()), "digest", evidence, reason))
        return compare("a group", found)

    return compared


def test_contestants_that_differ_from_the_reference_alike_are_alike(group):
    verified = group(a=Contestant(), b=FLIPPED, c=Contestant(), d=dataclasses.replace(FLIPPED, backend="d"))
    assert verified.alike == (("a", "c"), ("b", "d"))
    assert not verified.all_same
    verdicts = {(one.one, one.other): one.verdict for one in verified.certificates}
    assert [pair for pair, verdict in verdicts.items() if verdict == Agreement.SAME] == [
        ("a", "c"),
        ("b", "d"),
    ]
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
    assert certificate.verdict == Agreement.NOT_COMPARED
    assert certificate.reason == "b: failed: no memory"
    assert verified.contestants[1].judgement is None
    assert not verified.all_same


def test_the_usual_one_is_the_measure_whoever_comes_first(group):
    odd = Contestant((("Conv2D", {**CONV, "use_bias": False}), *PLAIN[1:]))
    verified = group(odd=odd, a=Contestant(), b=Contestant())
    findings = {one.label: one.judgement.findings for one in verified.contestants}
    assert findings["odd"][0].text == "use_bias is False, not True"
    assert findings["a"] == findings["b"] == ()


def test_own_draws_are_nobody_elses(shown):
    """Two contestants that start from draws of their own differ from a third alike, and from each other."""
    third, one, other = (
        shown(Contestant(start_scale=scale, own_draws=scale != 1.0)) for scale in (1.0, 1.1, 1.2)
    )
    panel = Panel([Voter(str(place), each) for place, each in enumerate((third, one, other))])
    judgements = [examine(each, third, panel) for each in (one, other)]
    meanings = [{finding.meaning for finding in each.findings} for each in judgements]
    assert meanings[0] == meanings[1]
    certificate = certify(("one", "other"), tuple(judgements), (one, other))
    assert certificate.verdict == Agreement.DIFFERENT
    assert {finding.cause for _, finding in certificate.findings} == {"own_draw"}


def test_what_both_do_in_a_way_that_nobody_knows_may_still_be_the_same(group):
    strange = Contestant(reported=lambda value, size: value * 1.01 + 0.01)
    verified = group(a=strange, b=dataclasses.replace(strange, backend="b"), c=Contestant())
    assert verified.alike == (("a", "b"), ("c",))


def test_one_that_failed_is_said_to_be_not_compared_rather_than_different(group):
    alone = group(a=Contestant(), b=None)
    assert alone.certificates[0].why is Why.FAILED
    assert lines(alone)[-1] == "no two contestants could be compared"
    more = group(a=Contestant(), b=None, c=FLIPPED)
    assert lines(more)[-2:] == [
        "not compared: a with b, b with c",
        "of those compared, no two train the same thing",
    ]
    assert lines(group(a=Contestant(), c=FLIPPED))[-1] == "no two contestants train the same thing"


def test_what_draws_at_random_is_not_compared(group):
    layers = (("GaussianNoise", {"stddev": 0.1}), *PLAIN)
    random = Contestant(layers=layers, random=(0,))
    verified = group(a=random, b=dataclasses.replace(random, backend="b"), c=Contestant(layers=layers))
    for one in verified.certificates:
        assert (one.verdict, one.why, one.findings) == (Agreement.NOT_COMPARED, Why.RANDOM, ())
        assert "gaussiannoise_0 draws random numbers while it trains" in one.reason
    # What is known to differ all the same is a difference.
    verified = group(
        a=random, b=dataclasses.replace(random, says=(("GaussianNoise", {"stddev": 0.2}), *PLAIN))
    )
    assert verified.certificates[0].verdict is Agreement.DIFFERENT
    assert {finding.cause for _, finding in verified.certificates[0].findings} == {"declared_stddev"}


def test_a_layer_that_the_reference_lacks(group):
    """Those that agree are the same, whoever else there is; a difference is put under everybody's name."""
    own = Contestant(unknown=("Conv2D",))
    other = dataclasses.replace(FLIPPED, unknown=("Conv2D",))
    by = {name: dataclasses.replace(own, backend=name) for name in "abc"}
    assert group(**by).all_same
    verified = group(**by, d=dataclasses.replace(other, backend="d"))
    assert verified.alike == (("a", "b", "c"), ("d",))
    assert {one.verdict for one in verified.certificates if "d" in (one.one, one.other)} == {
        Agreement.DIFFERENT
    }
    two = {"c": dataclasses.replace(other, backend="c"), "d": dataclasses.replace(other, backend="d")}
    verified = group(a=by["a"], b=by["b"], **two)
    assert verified.alike == (("a", "b"), ("c", "d")), "no majority, but each pair agrees"
    assert {one.verdict for one in verified.certificates} == {Agreement.SAME, Agreement.DIFFERENT}


def test_certificates_of_what_nobody_else_has(group):
    own = Contestant(unknown=("Conv2D",))
    unlike = dataclasses.replace(own, layers=(*PLAIN[:1], ("AveragePooling2D", PLAIN[1][1]), *PLAIN[2:]))
    (certificate,) = group(a=own, b=dataclasses.replace(unlike, backend="b")).certificates
    assert certificate.verdict is Agreement.DIFFERENT
    assert {finding.cause for _, finding in certificate.findings} == {"declared_layers"}
