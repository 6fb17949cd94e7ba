"""A group of contestants held against the reference and each other."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bakeoff import registry
from bakeoff.errors import BakeoffError
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision
from bakeoff.launchers import local
from bakeoff.launchers.base import Launcher
from bakeoff.launchers.scratch import scratch
from bakeoff.study import Agreement
from bakeoff.verification import architecture, inspected
from bakeoff.verification.certificates import Certificate, Why, certify
from bakeoff.verification.collection import Collected, Needs, collect
from bakeoff.verification.contestants import Contestant, Group
from bakeoff.verification.evidence import Evidence
from bakeoff.verification.examination import examine
from bakeoff.verification.findings import Judgement, plain
from bakeoff.verification.votes import Panel, Voter


@dataclass(frozen=True)
class VerifiedContestant:
    """One contestant: how it compares with the reference, or why that can't be said.

    declined: it can't be looked into and never could.
    """

    contestant: Contestant
    environment_digest: str
    judgement: Judgement | None
    reason: str = ""
    declined: bool = False

    @property
    def label(self) -> str:
        """For people."""
        return self.contestant.label

    def document(self) -> dict[str, Any]:
        """In JSON's types."""
        settings = self.contestant.settings
        return {
            "label": self.label,
            "subject": self.contestant.verified_id,
            "trial_ids": list(self.contestant.trial_ids),
            "backend": settings.backend,
            "environment": settings.environment,
            "environment_digest": self.environment_digest,
            "precision": settings.precision,
            "judgement": plain(self.judgement),
            "reason": self.reason,
            "declined": self.declined,
        }


@dataclass(frozen=True)
class Verified:
    """One group of contestants that should train the same thing, and each pair of them.

    shown_on: the data set on whose images it was shown, where that is not the group's own.
    """

    title: str
    contestants: tuple[VerifiedContestant, ...]
    certificates: tuple[Certificate, ...]
    shown_on: str = ""

    @property
    def all_same(self) -> bool:
        """Whether every pair is certified to train the same thing."""
        return all(certificate.verdict is Agreement.SAME for certificate in self.certificates)

    @property
    def alike(self) -> tuple[tuple[str, ...], ...]:
        """Labels of contestants that train the same thing, together; in their order."""
        same = {
            (certificate.one, certificate.other)
            for certificate in self.certificates
            if certificate.verdict is Agreement.SAME
        }
        found: list[list[str]] = []
        for contestant in self.contestants:
            for known in found:
                if all((label, contestant.label) in same for label in known):
                    known.append(contestant.label)
                    break
            else:
                found.append([contestant.label])
        return tuple(map(tuple, found))

    @property
    def not_compared(self) -> tuple[Certificate, ...]:
        """Pairs of which nothing can be said."""
        return tuple(
            certificate for certificate in self.certificates if certificate.verdict is Agreement.NOT_COMPARED
        )

    def document(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "title": self.title,
            "contestants": [contestant.document() for contestant in self.contestants],
            "pairs": plain(self.certificates),
            "alike": [list(labels) for labels in self.alike],
        }


@contextmanager
def computing(
    groups: Sequence[Group],
    provisions: Mapping[str, Provision | BakeoffError],
    *,
    seed: int,
    launcher: Launcher = local.launch,
    listener: Listener = ignore,
) -> Iterator[Callable[[Group], Verified]]:
    """Contestants of all groups compute side by side; what it gives waits for one group and judges it.

    provisions: by the `verified_id` of each contestant. Nothing is timed, so one computes on each core; but
    one after the other on a GPU, whose memory each takes for itself. A group that was judged leaves no files.
    """
    contestants = [one for group in groups for one in group.contestants]
    is_alone = any(one.settings.device == "gpu" for one in contestants)
    stop = threading.Event()
    with scratch("bakeoff-verify-") as folder:

        def collected(contestant: Contestant) -> Collected:
            provision = provisions[contestant.verified_id]
            if isinstance(provision, BakeoffError):
                return Collected(contestant, "", None, provision.message)
            needs = Needs(provision.environment, provision.dataset, provision.model_file)
            return collect(
                contestant, needs, seed=seed, folder=folder, launcher=launcher, listener=listener, stop=stop
            )

        def judged(group: Group) -> Verified:
            waiting = [jobs[one.verified_id] for one in group.contestants]
            done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
            for job in done:
                job.result()
            shown = [job.result() for job in waiting]
            try:
                return compare(group.title, shown, listener)
            finally:
                for one in shown:
                    if one.evidence:
                        one.evidence.close()
                        one.evidence.path.unlink()

        pool = ThreadPoolExecutor(1 if is_alone else os.cpu_count())
        jobs = {one.verified_id: pool.submit(collected, one) for one in _in_order(contestants)}
        try:
            yield judged
        except BaseException:  # the user's Ctrl-C, too: the others would go on
            stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            for job in jobs.values():
                if not job.cancelled() and not job.exception() and (evidence := job.result().evidence):
                    evidence.close()


def _in_order(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Who compiles for minutes goes first, once an environment, and the rest of that kind last.

    They would wait for each other's compilations, and find them made when it is their turn.
    """
    compiling = [name for name, (record, _) in registry.backends().items() if record.needs_compiler]
    slow = [contestant for contestant in contestants if contestant.settings.backend in compiling]
    first = {one.settings.environment: one for one in reversed(slow)}.values()
    return sorted(
        contestants,
        key=lambda contestant: (
            0 if any(contestant is each for each in first) else 2 if contestant in slow else 1
        ),
    )


def compare(
    title: str,
    shown: Sequence[Collected],
    listener: Listener = ignore,
) -> Verified:
    """Contestants held against the reference and each other, as far as their evidence is there."""
    keras = [one for one in shown if one.evidence and not one.evidence.is_inspected]
    usual = _usual([one.evidence for one in keras if one.evidence])
    panel = Panel([Voter(one.contestant.label, one.evidence) for one in keras if one.evidence])
    judgements: dict[int, Judgement] = {}
    contestants = []
    for index, one in enumerate(shown):
        if one.evidence and usual:
            tell(listener, f"{one.contestant.label}: comparing")
            judgements[index] = (
                inspected.judge(one.evidence, usual)
                if one.evidence.is_inspected
                else examine(one.evidence, usual, panel)
            )
            one.evidence.forget()
        judgement = judgements.get(index)
        contestants.append(
            VerifiedContestant(one.contestant, one.environment_digest, judgement, one.reason, one.declined)
        )
    certificates = []
    for index, one in enumerate(shown):
        for later in range(index + 1, len(shown)):
            other = shown[later]
            labels = one.contestant.label, other.contestant.label
            if one.evidence and other.evidence:
                evidence = one.evidence, other.evidence
                if any(each.is_inspected for each in evidence):
                    certificates.append(inspected.certify(labels, evidence))
                else:
                    pair = (judgements[index], judgements[later])
                    certificates.append(certify(labels, pair, evidence))
            else:
                reason = "; ".join(
                    f"{each.contestant.label}: {each.reason}" for each in (one, other) if each.reason
                )
                failed = any(not each.declined for each in (one, other) if not each.evidence)
                why = Why.FAILED if failed else Why.DECLINED
                certificates.append(Certificate(*labels, Agreement.NOT_COMPARED, reason=reason, why=why))
        if one.evidence:
            one.evidence.forget()
    return Verified(title, tuple(contestants), tuple(certificates))


def not_verified(group: Group, digests: Mapping[str, str], reason: str) -> Verified:
    """A group that nothing can be said of. digests: of environments, by the contestants' `verified_id`."""
    contestants = tuple(
        VerifiedContestant(contestant, digests[contestant.verified_id], None, reason)
        for contestant in group.contestants
    )
    pairs = itertools.combinations(contestants, 2)
    certificates = tuple(
        Certificate(one.label, other.label, Agreement.NOT_COMPARED, reason=reason, why=Why.FAILED)
        for one, other in pairs
    )
    return Verified(group.title, contestants, certificates)


def _usual(known: Sequence[Evidence]) -> Evidence | None:
    """A contestant that is built as most are: the first of those."""
    alike = [sum(not any(architecture.differences(one, other)) for other in known) for one in known]
    return known[alike.index(max(alike))] if known else None
