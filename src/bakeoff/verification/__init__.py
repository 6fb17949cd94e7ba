"""Whether contestants train the same thing: shown before anything is timed, or the difference named.

From the same weights and the same images, dropout off, each contestant's forward pass, loss, gradients and
steps are held against a reference of our own in double precision (`examination`); what may be said of each
pair is its certificate (`certificates`), which the store keeps (`keeping`). A study's first run waits for
those of its contestants (`beforehand`).
"""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path

from bakeoff import plan
from bakeoff.environments import Consent, unasked
from bakeoff.events import Listener, ignore
from bakeoff.execute import condition_of
from bakeoff.identity import identify
from bakeoff.launchers import local
from bakeoff.launchers.base import Launcher
from bakeoff.prepare import prepare
from bakeoff.store.writer import Writer
from bakeoff.study import Agreement, Study
from bakeoff.verification.beforehand import Beforehand
from bakeoff.verification.certificates import Certificate, Why
from bakeoff.verification.contestants import Group, groups
from bakeoff.verification.findings import Finding, Judgement
from bakeoff.verification.judging import Verified, VerifiedContestant, compare, computing
from bakeoff.verification.keeping import VERSION, round_row, rows
from bakeoff.verification.rounds import Judged, VerifiedRound, judge_round, rounds, verify_round
from bakeoff_worker.job import RunSpec

__all__ = [
    "VERSION",
    "Agreement",
    "Beforehand",
    "Certificate",
    "Finding",
    "Judged",
    "Judgement",
    "Verified",
    "VerifiedContestant",
    "VerifiedRound",
    "Why",
    "compare",
    "computing",
    "judge_round",
    "verify",
]


def verify(
    study: Study,
    store: Path | None,
    *,
    double: bool = False,
    launcher: Launcher = local.launch,
    listener: Listener = ignore,
    data_directory: Path | None = None,
    consent: Consent = unasked,
) -> tuple[Verified | VerifiedRound, ...]:
    """Hold all contestants of a study against the reference and each other, group by group.

    Then, of what runs on a cluster, one synchronous round against its stated arithmetic.

    store: takes the certificates; None keeps none. double: also compares in double precision those that run
    in single, which shows what rounding hides. The other arguments are those of `bakeoff.session.run`.

    Raises:
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one.
    """
    asked = [RunSpec(trial.settings, trial.label, 0, 0, 0, 0) for trial in study.trials]
    ready = prepare(study, asked, data_directory=data_directory, listener=listener, consent=consent)
    study = identify(study, ready, launcher=launcher, listener=listener).study
    found = groups((trial.label, trial.settings) for trial in study.trials)
    if double:
        found += tuple(_in_double_precision(group) for group in found)
    found = tuple(group for group in found if group.contestants)
    on_clusters = rounds((trial.label, trial.settings) for trial in study.trials)
    seed = plan.run_seed(study.seed, 0)
    specs = [
        RunSpec(contestant.settings, contestant.label, 0, 0, 0, seed)
        for group in found
        for contestant in group.contestants
    ]
    specs += [RunSpec(cluster.settings, cluster.label, 0, 0, 0, seed) for cluster in on_clusters]
    with Writer(store) if store else nullcontext() as writer:
        provisions = prepare(study, specs, data_directory=data_directory, listener=listener)
        verified: list[Verified | VerifiedRound] = []
        with computing(found, provisions, seed=seed, launcher=launcher, listener=listener) as judged:
            for group in found:
                one = judged(group)
                if writer is not None:
                    writer.add_certificates(
                        rows(
                            one,
                            condition_of(provisions[one.contestants[0].contestant.verified_id]).machine_id,
                        )
                    )
                verified.append(one)
        for each in on_clusters:
            held = verify_round(
                each, provisions[each.verified_id], seed=seed, launcher=launcher, listener=listener
            )
            if writer is not None:
                machine_id = condition_of(provisions[each.verified_id]).machine_id
                writer.add_certificates([round_row(held, machine_id)])
            verified.append(held)
    return tuple(verified)


def _in_double_precision(group: Group) -> Group:
    """The contestants that run in single precision, in double."""
    double = tuple(
        dataclasses.replace(
            contestant, settings=dataclasses.replace(contestant.settings, precision="float64")
        )
        for contestant in group.contestants
        if contestant.settings.precision == "float32"
    )
    known = {contestant.verified_id for contestant in group.contestants}
    return Group(f"{group.title}, in float64", tuple(one for one in double if one.verified_id not in known))
