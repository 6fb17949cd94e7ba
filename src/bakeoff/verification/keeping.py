"""Certificates as the store keeps them, and those that it has."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bakeoff.store.reader import Reader
from bakeoff.store.writer import CertificateRow
from bakeoff.study import Agreement
from bakeoff.verification import tolerances
from bakeoff.verification.contestants import Contestant
from bakeoff.verification.findings import plain
from bakeoff.verification.judging import Verified
from bakeoff.verification.rounds import VerifiedRound
from bakeoff.verification.words import words

# What is shown, and how it is compared. Certificates of different versions say different things.
#   1  first version: ten steps of eight images, held against the reference at the contestant's own weights
#   2  layers that the reference lacks are put to the contestants' vote, each on inputs that all share; layers
#      within layers are looked into; augmentation is switched off; what draws at random is not compared
VERSION = 2


def rows(verified: Verified, machine_id: str) -> list[CertificateRow]:
    """The certificates as the store keeps them."""
    of = {contestant.label: contestant for contestant in verified.contestants}
    shown_on = f", on images of {verified.shown_on}" if verified.shown_on else ""
    found = []
    for certificate in verified.certificates:
        one, other = of[certificate.one], of[certificate.other]
        document = {
            **plain(certificate),
            "words": words(certificate) + shown_on,
            "title": verified.title,
            "one": one.document(),
            "other": other.document(),
            "tolerances": _tolerances(one.contestant.settings.precision),
        }
        found.append(
            CertificateRow(
                one_subject=one.contestant.verified_id,
                one_environment_digest=one.environment_digest,
                other_subject=other.contestant.verified_id,
                other_environment_digest=other.environment_digest,
                machine_id=machine_id,
                verification_version=VERSION,
                verdict=certificate.verdict,
                document=document,
            )
        )
    return found


def round_row(verified: VerifiedRound, machine_id: str) -> CertificateRow:
    """A round's certificate: that of one contestant, without another."""
    return CertificateRow(
        one_subject=verified.round.verified_id,
        one_environment_digest=verified.environment_digest,
        other_subject="",
        other_environment_digest="",
        machine_id=machine_id,
        verification_version=VERSION,
        verdict=verified.judged.verdict,
        document=verified.document(),
    )


def are_known(
    contestants: Sequence[Contestant], digests: Mapping[str, str], machine_id: str, store: Path
) -> bool:
    """Whether each pair was verified before, here, in these environments and by this version.

    digests: of environments, by the contestants' `verified_id`. A pair that could not be compared because one
    of the two failed is not known: it may go better now.
    """
    wanted = {
        frozenset(
            ((one.verified_id, digests[one.verified_id]), (other.verified_id, digests[other.verified_id]))
        )
        for one, other in itertools.combinations(contestants, 2)
    }
    with Reader(store) as reader:
        kept = reader.certificates().filter(machine_id=machine_id, verification_version=VERSION)
    columns = ("one_subject", "one_environment_digest", "other_subject", "other_environment_digest")
    for one, one_digest, other, other_digest, verdict, document in kept.select(
        *columns, "verdict", "document"
    ).iter_rows():
        pair = frozenset(((one, one_digest), (other, other_digest)))
        if pair in wanted and (verdict != Agreement.NOT_COMPARED or not _failed(document)):
            wanted.remove(pair)
    return not wanted


def _failed(document: str) -> bool:
    """Whether a contestant was neither looked into nor declined by itself."""
    pair = json.loads(document)
    return any(pair[who]["judgement"] is None and not pair[who].get("declined") for who in ("one", "other"))


def _tolerances(precision: str) -> dict[str, float]:
    if precision not in tolerances.EPSILON:
        return {}
    one = tolerances.of(precision)
    kinds = ("forward", "loss", "gradients", "optimizer", "weights")
    return {kind: getattr(one, kind) for kind in kinds}
