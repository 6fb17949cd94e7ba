"""Data sets of equal form: what is shown on the images of one holds on those of the other."""

from __future__ import annotations

import dataclasses

from bakeoff.study import DATASETS
from bakeoff.verification.contestants import Group
from bakeoff.verification.judging import Verified
from bakeoff_worker.job import TrialSettings


def form(group: Group) -> frozenset[tuple[str, object]]:
    """Equal for groups that differ in nothing but a built-in data set of the same form.

    Networks and their kernels know an image's shape, not what it shows. Whether each contestant reads the
    images right is another question; both data sets pass through the same lines.
    """
    return frozenset(
        (
            _without_dataset(contestant.settings),
            DATASETS.get(contestant.settings.dataset, contestant.settings.dataset),
        )
        for contestant in group.contestants
    )


def carried_over(verified: Verified, group: Group) -> Verified:
    """What was found of one group, said of another of the same `form`."""
    of = {_without_dataset(contestant.settings): contestant for contestant in group.contestants}
    counterparts = [
        of[_without_dataset(contestant.contestant.settings)] for contestant in verified.contestants
    ]
    label = {
        one.label: counterpart.label
        for one, counterpart in zip(verified.contestants, counterparts, strict=True)
    }
    return Verified(
        title=group.title,
        contestants=tuple(
            dataclasses.replace(one, contestant=counterpart)
            for one, counterpart in zip(verified.contestants, counterparts, strict=True)
        ),
        certificates=tuple(
            dataclasses.replace(
                certificate,
                one=label[certificate.one],
                other=label[certificate.other],
                findings=tuple((label[name], finding) for name, finding in certificate.findings),
            )
            for certificate in verified.certificates
        ),
        shown_on=verified.shown_on or verified.contestants[0].contestant.settings.dataset,
    )


def _without_dataset(settings: TrialSettings) -> str:
    return dataclasses.replace(settings, dataset="").trial_id
