"""What verification found, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakeoff.study import Agreement
from bakeoff.verification.certificates import Certificate
from bakeoff.verification.findings import Finding

if TYPE_CHECKING:
    from bakeoff.verification.judging import Verified
    from bakeoff.verification.rounds import VerifiedRound

_REASON = 300  # characters of why a contestant failed
_FINDINGS = 3  # how many differences are named one by one
_DIRECT = {"forward": "outputs", "gradients": "gradients", "weights": "weights after ten steps"}


def words(certificate: Certificate) -> str:
    """What may be said of a pair, without its verdict and without a full stop."""
    if certificate.verdict is Agreement.SAME:
        direct = certificate.direct or {}
        agreed = [
            f"{name} within {direct[kind].difference:.0e}" for kind, name in _DIRECT.items() if kind in direct
        ]
        return ", ".join(agreed)
    if certificate.verdict is Agreement.DIFFERENT:
        found = list(
            dict.fromkeys(f"{label}: {_finding(finding)}" for label, finding in certificate.findings)
        )
        more = len(found) - _FINDINGS
        return "; ".join([*found[:_FINDINGS], *([f"and {more} more"] if more > 0 else [])])
    return _short(certificate.reason)


def lines(verified: Verified) -> list[str]:
    """What differs, who trains the same thing, and what could not be said."""
    said = []
    for contestant in verified.contestants:
        if contestant.judgement is None:
            said.append(f"{contestant.label}: not verified: {_short(contestant.reason)}")
            continue
        said.extend(f"{contestant.label}: {_finding(finding)}" for finding in contestant.judgement.findings)
        said.extend(f"{contestant.label}: note: {note}" for note in contestant.judgement.notes)
        if contestant.judgement.not_examined:
            said.append(
                f"{contestant.label}: not looked into: {', '.join(contestant.judgement.not_examined)}"
            )
    alike = [labels for labels in verified.alike if len(labels) > 1]
    said.extend(f"the same thing is trained by {', '.join(labels)}" for labels in alike)
    if len(verified.contestants) < 2:
        said.append("there is no other contestant to compare with")
    elif len(verified.not_compared) == len(verified.certificates):
        said.append("no two contestants could be compared")
    elif verified.not_compared:
        pairs = ", ".join(
            f"{certificate.one} with {certificate.other}" for certificate in verified.not_compared
        )
        said.append(f"not compared: {pairs}")
        if not alike:
            said.append("of those compared, no two train the same thing")
    elif not alike:
        said.append("no two contestants train the same thing")
    return said


def lines_of_round(verified: VerifiedRound) -> list[str]:
    """What is said of a distribution's arithmetic, and whether one round keeps to it."""
    judged, label = verified.judged, verified.round.label
    stated = [f"{label}: stated: {sentence}" for sentence in judged.stated]
    if judged.verdict is Agreement.SAME:
        return [*stated, f"{label}: {judged.words}"]
    if judged.verdict is Agreement.DIFFERENT:
        return [*stated, *(f"{label}: {finding}" for finding in judged.findings)]
    return [f"{label}: a round was not verified: {judged.words}"]


def _finding(finding: Finding) -> str:
    kink = " (only where the derivative doesn't exist)" if finding.only_at_kinks else ""
    return finding.sentence() + kink


def _short(reason: str) -> str:
    """In one line."""
    line = " ".join(reason.split())
    return line if len(line) <= _REASON else f"{line[:_REASON]}…"
