"""Contestants verified once, before the first run of theirs is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bakeoff import plan
from bakeoff.errors import BakeoffError, StoreError
from bakeoff.events import Listener, tell
from bakeoff.execute import Provision, condition_of
from bakeoff.launchers.base import Launcher
from bakeoff.prepare import prepare
from bakeoff.store.writer import Writer
from bakeoff.study import Study
from bakeoff.verification.contestants import Group, groups, trains_a_network
from bakeoff.verification.judging import Verified, computing, not_verified
from bakeoff.verification.keeping import are_known, rows
from bakeoff.verification.same_form import carried_over, form
from bakeoff.verification.words import lines
from bakeoff_worker.job import RunSpec, TrialSettings

Provisions = Mapping[str, Provision | BakeoffError]


class Beforehand:
    """Verifies a study's contestants in time: what the store knows of them already is not looked at again.

    provisions: by trial_id, what the study's runs run on. Whatever goes wrong is said in the certificates and
    stops nothing: the study's figures are worth having all the same.
    """

    def __init__(
        self,
        study: Study,
        writer: Writer,
        provisions: Provisions,
        *,
        launcher: Launcher,
        listener: Listener,
        data_directory: Path | None = None,
    ) -> None:
        self._study, self._writer, self._provisions = study, writer, provisions
        self._launcher, self._listener, self._data_directory = launcher, listener, data_directory
        self._machine_id = next((condition_of(provision).machine_id for provision in provisions.values()), "")
        self._tried: set[str] = set()  # by verified_id: one attempt a session

    def verify(self, due: Sequence[RunSpec], among: Iterable[tuple[str, TrialSettings]]) -> None:
        """Make sure that each contestant with a run due is compared with those that it will be compared with.

        among: label and settings of all trials that may meet.

        Raises:
            StoreError: the certificates can't be stored.
        """
        waiting = {spec.settings.verified_id for spec in due} - self._tried
        met = [Group(one.title, tuple(filter(trains_a_network, one.contestants))) for one in groups(among)]
        met = [one for one in met if len(one.contestants) > 1 and waiting & _ids(one)]
        left = [one for one in met if not self._is_known(one)]
        self._tried |= {name for one in met for name in _ids(one)}
        if met and not left:
            tell(self._listener, "whether the contestants train the same thing was verified before")
        if left:
            first = {form(one): one for one in reversed(left)}  # of each form, the first
            number = sum(len(one.contestants) for one in first.values())
            tell(
                self._listener,
                f"verifying, once, whether {number} contestants train the same thing (nothing is timed)",
            )
            began = time.monotonic()
            found: dict[object, Verified] = {}
            with self._computing(list(first.values())) as judged:
                for group in left:
                    known = found.get(form(group))
                    if known is None:
                        found[form(group)] = self._verify(group, judged)
                    else:
                        self._keep(carried_over(known, group))
            tell(self._listener, f"verified in {time.monotonic() - began:.0f} s")

    def _is_known(self, group: Group) -> bool:
        return are_known(group.contestants, self._digests(group), self._machine_id, self._writer.path)

    def _computing(self, due: Sequence[Group]) -> AbstractContextManager[Callable[[Group], Verified]]:
        provisions: dict[str, Provision | BakeoffError] = {}
        for group in due:
            try:
                provisions |= self._provided(group)
            except Exception as error:
                failure = BakeoffError(_itself(error))
                provisions |= dict.fromkeys(
                    (contestant.verified_id for contestant in group.contestants), failure
                )
        seed = plan.run_seed(self._study.seed, 0)
        return computing(due, provisions, seed=seed, launcher=self._launcher, listener=self._listener)

    def _verify(self, group: Group, judged: Callable[[Group], Verified]) -> Verified:
        try:
            verified = judged(group)
        except StoreError:
            raise
        except Exception as error:  # a mistake of ours, too, is no reason to measure nothing
            verified = not_verified(group, self._digests(group), _itself(error))
        for line in lines(verified):
            tell(self._listener, f"{group.title}: {line}")
        self._keep(verified)
        return verified

    def _keep(self, verified: Verified) -> None:
        self._writer.add_certificates(rows(verified, self._machine_id))

    def _provided(self, group: Group) -> Provisions:
        """By verified_id. What could not be had for the runs is not tried once more."""
        own = {
            contestant.verified_id: self._provisions[contestant.trial_ids[0]]
            for contestant in group.contestants
        }
        failed = {verified_id: each for verified_id, each in own.items() if isinstance(each, BakeoffError)}
        specs = [
            RunSpec(contestant.settings, contestant.label, 0, 0, 0, 0)
            for contestant in group.contestants
            if contestant.verified_id not in failed
        ]
        return {
            **failed,
            **prepare(self._study, specs, data_directory=self._data_directory, listener=self._listener),
        }

    def _digests(self, group: Group) -> dict[str, str]:
        """Of the contestants' environments, by verified_id."""
        provisions = {
            contestant.verified_id: self._provisions[contestant.trial_ids[0]]
            for contestant in group.contestants
        }
        return {
            verified_id: "" if isinstance(one, BakeoffError) else one.environment.digest
            for verified_id, one in provisions.items()
        }


def _itself(error: Exception) -> str:
    return f"the verification itself failed: {type(error).__name__}: {error}"


def _ids(group: Group) -> set[str]:
    return {contestant.verified_id for contestant in group.contestants}
