"""Whether contestants train the same thing: shown before anything is timed, or the difference named.

From the same weights and the same images, dropout off, each contestant's forward pass, loss, gradients and
steps are held against a reference of our own in double precision (`examination`); what may be said of each
pair is its certificate (`certificates`), which the store keeps.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff import plan
from bakeoff.datasets import Progress
from bakeoff.errors import BakeoffError
from bakeoff.execute import Provision, condition_of
from bakeoff.launchers import local
from bakeoff.launchers.base import Launcher
from bakeoff.prepare import prepare
from bakeoff.store.writer import CertificateRow, Writer
from bakeoff.study import Study
from bakeoff.verification import architecture, tolerances
from bakeoff.verification.certificates import DIFFERENT, SAME, UNKNOWN, Certificate, certify
from bakeoff.verification.collection import Collected, Needs, collect
from bakeoff.verification.contestants import Contestant, Group, groups
from bakeoff.verification.evidence import Evidence
from bakeoff.verification.examination import examine, missing_layer
from bakeoff.verification.findings import Finding, Judgement, plain
from bakeoff_worker.records import RunSpec

__all__ = [
    "DIFFERENT",
    "SAME",
    "UNKNOWN",
    "Certificate",
    "Examined",
    "Finding",
    "Judgement",
    "Verified",
    "judge",
    "verify",
]

# What is shown, and how it is compared. Certificates of different versions say different things.
#   1  first version: ten steps of eight images, held against the reference at the contestant's own weights
VERSION = 1

# Where the reference lacks a layer, the first of these in double precision takes its place.
_MOST_PRECISE = ("jax", "torch", "tensorflow", "theano", "tensorflow1")


@dataclass(frozen=True)
class Examined:
    """One contestant: how it compares with the reference, or why that can't be said."""

    contestant: Contestant
    environment_digest: str
    judgement: Judgement | None
    reason: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return self.contestant.label

    def document(self) -> dict[str, Any]:
        """In JSON's types."""
        settings = self.contestant.settings
        return {
            "label": self.label,
            "subject": self.contestant.subject,
            "trial_ids": list(self.contestant.trial_ids),
            "backend": settings.backend,
            "environment": settings.environment,
            "environment_digest": self.environment_digest,
            "precision": settings.precision,
            "judgement": plain(self.judgement),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Verified:
    """One group of contestants that should train the same thing, and each pair of them."""

    title: str
    examined: tuple[Examined, ...]
    certificates: tuple[Certificate, ...]

    @property
    def all_same(self) -> bool:
        """Whether every pair is certified to train the same thing."""
        return all(certificate.verdict == SAME for certificate in self.certificates)

    @property
    def alike(self) -> tuple[tuple[str, ...], ...]:
        """Labels of contestants that train the same thing, together; in their order."""
        same = {(one.one, one.other) for one in self.certificates if one.verdict == SAME}
        found: list[list[str]] = []
        for one in self.examined:
            for known in found:
                if all((label, one.label) in same for label in known):
                    known.append(one.label)
                    break
            else:
                found.append([one.label])
        return tuple(map(tuple, found))

    def document(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "title": self.title,
            "contestants": [one.document() for one in self.examined],
            "pairs": plain(self.certificates),
            "alike": [list(labels) for labels in self.alike],
        }


def verify(
    study: Study,
    store: Path | None,
    *,
    double: bool = False,
    launcher: Launcher = local.launch,
    tell: Callable[[str], None] = lambda line: None,
    downloads: AbstractContextManager[Callable[[Progress], None]] | None = None,
    data_directory: Path | None = None,
) -> tuple[Verified, ...]:
    """Hold all contestants of a study against the reference and each other, group by group.

    store: takes the certificates; None keeps none. double: also compares in double precision those that run
    in single, which shows what rounding hides. The other arguments are those of `bakeoff.session.complete`.

    Raises:
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one.
    """
    found = groups((trial.label, trial.settings) for trial in study.trials)
    if double:
        found += tuple(_in_double_precision(group) for group in found)
    found = tuple(group for group in found if group.contestants)
    seed = plan.run_seed(study.seed, 0)
    specs = [RunSpec(one.settings, one.label, 0, 0, 0, seed) for group in found for one in group.contestants]
    with Writer(store) if store else nullcontext() as writer:
        with downloads or nullcontext(lambda progress: None) as on_download:
            provisions = prepare(
                study, specs, data_directory=data_directory, tell=tell, on_download=on_download
            )
        verified = []
        for group in found:
            one = judge(group, provisions, seed=seed, launcher=launcher, tell=tell)
            if writer is not None:
                writer.add_certificates(_rows(one, provisions))
            verified.append(one)
    return tuple(verified)


def judge(
    group: Group,
    provisions: Mapping[str, Provision | BakeoffError],
    *,
    seed: int,
    launcher: Launcher = local.launch,
    tell: Callable[[str], None] = lambda line: None,
) -> Verified:
    """One group. provisions: by the `subject` of each contestant."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-verify-") as name, ExitStack() as open_files:
        folder = Path(name)

        def collected(contestant: Contestant, precision: str | None = None) -> Collected:
            provision = provisions[contestant.subject]
            if isinstance(provision, BakeoffError):
                return Collected(contestant, "", None, provision.message)
            needs = Needs(provision.environment, provision.dataset, provision.model_file)
            one = collect(
                contestant,
                needs,
                seed=seed,
                folder=folder,
                launcher=launcher,
                precision=precision,
                tell=tell,
            )
            if one.evidence:
                open_files.enter_context(one.evidence)
            return one

        shown = [collected(contestant) for contestant in group.contestants]
        return compare(group.title, shown, collected, tell)


def compare(
    title: str,
    shown: Sequence[Collected],
    collected: Callable[[Contestant, str | None], Collected],
    tell: Callable[[str], None] = lambda line: None,
) -> Verified:
    """Contestants whose evidence is there. collected: runs another job, in the precision named."""
    known = [one.evidence for one in shown if one.evidence]
    usual = _usual(known)
    exact = _exact(shown, collected)
    judgements: dict[int, Judgement] = {}
    examined = []
    for index, one in enumerate(shown):
        if one.evidence and usual:
            tell(f"{one.contestant.label}: comparing")
            judgements[index] = examine(one.evidence, usual, exact)
            one.evidence.forget()
        examined.append(Examined(one.contestant, one.environment_digest, judgements.get(index), one.reason))
    certificates = []
    for index, one in enumerate(shown):
        for later in range(index + 1, len(shown)):
            other = shown[later]
            labels = one.contestant.label, other.contestant.label
            if one.evidence and other.evidence:
                pair = (judgements[index], judgements[later])
                certificates.append(certify(labels, pair, (one.evidence, other.evidence)))
            else:
                reason = "; ".join(
                    f"{each.contestant.label}: {each.reason}" for each in (one, other) if each.reason
                )
                certificates.append(Certificate(*labels, UNKNOWN, reason=reason))
        if one.evidence:
            one.evidence.forget()
    return Verified(title, tuple(examined), tuple(certificates))


def _usual(known: Sequence[Evidence]) -> Evidence | None:
    """A contestant that is built as most are: the first of those."""
    alike = [sum(not any(architecture.differences(one, other)) for other in known) for one in known]
    return known[alike.index(max(alike))] if known else None


def _exact(
    shown: Sequence[Collected], collected: Callable[[Contestant, str | None], Collected]
) -> Evidence | None:
    """The most precise of the contestants, where the reference lacks a layer; run anew if none is there."""
    with_evidence = [one for one in shown if one.evidence]
    if not any(one.evidence and missing_layer(one.evidence) for one in with_evidence):
        return None
    ranked = sorted(with_evidence, key=lambda one: _MOST_PRECISE.index(one.contestant.settings.backend))
    for one in ranked:
        if one.contestant.settings.precision == "float64":
            return one.evidence
    for one in ranked:
        again = collected(one.contestant, "float64")
        if again.evidence:
            return again.evidence
    return None


def _in_double_precision(group: Group) -> Group:
    """The contestants that run in single precision, in double."""
    double = tuple(
        dataclasses.replace(one, settings=dataclasses.replace(one.settings, precision="float64"))
        for one in group.contestants
        if one.settings.precision == "float32"
    )
    known = {one.subject for one in group.contestants}
    return Group(f"{group.title}, in float64", tuple(one for one in double if one.subject not in known))


def _rows(verified: Verified, provisions: Mapping[str, Provision | BakeoffError]) -> list[CertificateRow]:
    """The certificates as the store keeps them."""
    of = {one.label: one for one in verified.examined}
    rows = []
    for certificate in verified.certificates:
        one, other = of[certificate.one], of[certificate.other]
        condition = condition_of(provisions[one.contestant.subject])
        document = {
            **plain(certificate),
            "title": verified.title,
            "one": one.document(),
            "other": other.document(),
            "tolerances": _tolerances(one.contestant.settings.precision),
        }
        rows.append(
            CertificateRow(
                one_subject=one.contestant.subject,
                one_environment_digest=one.environment_digest,
                other_subject=other.contestant.subject,
                other_environment_digest=other.environment_digest,
                machine_id=condition.machine_id,
                verification_version=VERSION,
                verdict=certificate.verdict,
                document=document,
            )
        )
    return rows


def _tolerances(precision: str) -> dict[str, float]:
    if precision not in tolerances.EPSILON:
        return {}
    one = tolerances.of(precision)
    kinds = ("forward", "loss", "gradients", "optimizer", "weights")
    return {kind: getattr(one, kind) for kind in kinds}
