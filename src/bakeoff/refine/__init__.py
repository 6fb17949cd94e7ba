"""One contestant, set otherwise: what a user of its backend can try, searched, and proven on fresh blocks.

space.py     what can be set, as data, and how it shows that it took effect
search.py    who goes on, and what is to be confirmed (pure)
outside.py   what was found, as a study's settings and as a program of plain Keras
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from bakeoff import machine, plan, races, session
from bakeoff.errors import StudyError
from bakeoff.events import Listener, ignore, tell
from bakeoff.launchers import local
from bakeoff.launchers.base import Launcher
from bakeoff.prepare import prepare
from bakeoff.races.evidence import Evidence
from bakeoff.refine.outside import Outside, shown
from bakeoff.refine.search import DEFAULT, JOINT, Candidate, Fate, GoingOn, Measured, Search, Standing, search
from bakeoff.refine.space import Knob, Machine, Option, changed, options
from bakeoff.stats import FASTER, Verdict
from bakeoff.store.reader import Reader
from bakeoff.study import Budget, Rules, Study, Trial
from bakeoff_worker.job import TrialSettings

__all__ = ["Refinement", "refine", "this_machine"]

# What is searched, and by what rules. Searches of different versions are different ones.
VERSION = 5
# A candidate that takes so many times as long as the default is hung, as far as anybody cares.
_HUNG, _LEAST_LIMIT_S = 10, 60.0
_CONFIRMATION, _BLOCKS_OF_A_WAVE = "confirmation", 1000
_NO_TIME_S = 1e-9


@dataclass(frozen=True)
class Refinement:
    """What came of it for one contestant.

    settings: as it was. failure: how its first run ended; empty where well. search: what was tried. verdict:
    on the winner against the default, by blocks that the search never saw, and the same in words; None where
    there is no winner, or no such block. study: the confirmation's name in the store. outside: a confirmed
    winner without Bakeoff.
    """

    label: str
    settings: TrialSettings
    search: Search
    verdict: Verdict | None = None
    sentence: str = ""
    study: str = ""
    failure: str = ""
    outside: Outside | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the winner is faster than the default, at an error that is no worse."""
        return self.verdict is not None and self.verdict.kind is FASTER

    @property
    def is_decided(self) -> bool:
        """Whether more time would tell nothing more."""
        if self.search.winner is None:
            return Fate.NO_TIME not in self.search.fates.values()
        return self.verdict is not None and self.verdict.is_decided


def refine(
    study: Study,
    label: str,
    store: Path,
    *,
    budget_s: float,
    knobs: Sequence[Knob] | None = None,
    verify: bool = True,
    launcher: Launcher = local.launch,
    listener: Listener = ignore,
    data_directory: Path | None = None,
) -> Refinement:
    """Try what can be set of one of the study's contestants, and confirm the best on fresh blocks.

    budget_s: wall seconds of all runs. knobs: what can be set; None: all that Bakeoff knows. verify: whether
    the winner is first shown to train the same thing as the default. The other arguments are those of
    `bakeoff.session.run`. Where a winner is being confirmed in this store, nothing more is searched: a larger
    budget goes to the confirmation.

    Raises:
        StudyError: the study has no contestant of that label, or it can't be refined.
        MachineError: the budget is too small; Optuna is not there; a GPU is asked for, and there is none.
        StoreError: the store can't be written, or another process writes it.
        KeyboardInterrupt: the user stopped it; the same call goes on with what is missing.
    """
    trial = next((one for one in study.trials if one.label == label), None)
    if trial is None:
        known = ", ".join(one.label for one in study.trials)
        raise StudyError([f"--trial: {study.name} has no contestant {label!r}"], f"Its contestants: {known}.")
    if trial.settings.distribution != "single":
        raise StudyError([f"{label}: it trains on a cluster, and what can be set there is not searched"])
    if trial.settings.evaluation_split != "validation":
        raise StudyError(
            [f"{label}: errors that choose must not be of test images; got evaluation_split `test`"],
            'Set it: evaluation_split = "validation".',
        )
    found = options(trial.settings, this_machine(), knobs)
    race = _Race(study, trial, found, store, launcher, listener, data_directory)
    result = search(found, race, budget_s, study.rules.error_margin)
    winner = result.winner = race.frozen or result.winner
    if race.failure or winner is None:
        return Refinement(label, trial.settings, result, failure=race.failure)
    for option in winner.options:  # of an earlier call, with another budget and so another first wave
        if result.fates.get(option.name) is Fate.NO_TIME:
            result.fates[option.name] = Fate.HELPS
    confirmation = race.confirmation(winner, budget_s)
    tell(listener, f"{label}: {winner.name} seems best; fresh blocks are to confirm it")
    session.run(
        confirmation,
        store,
        listener=listener,
        data_directory=data_directory,
        launcher=launcher,
        verify=verify,
    )
    with Reader(store) as reader:
        trial_of = dict(reader.runs(confirmation.name).select("label", "trial_id").iter_rows())
        for _, _, comparison in races.judge(reader, confirmation.name):
            is_first = comparison.first.trial_id == trial_of[winner.name]
            verdict = comparison.verdict if is_first else comparison.verdict.inverse
            sentence, place = races.sentence(comparison), store.with_name(confirmation.name)
            done = Refinement(label, trial.settings, result, verdict, sentence, confirmation.name)
            if not done.is_confirmed:
                return done
            tell(listener, f"{label}: as it was and tuned, once each as a program of plain Keras")
            ready = prepare(confirmation, plan.expand(confirmation), data_directory=data_directory)
            before, after = ((one.settings, ready[one.settings.trial_id]) for one in confirmation.trials)
            return replace(done, outside=shown(before, after, place))
    return Refinement(label, trial.settings, result, study=confirmation.name)


def this_machine() -> Machine:
    """What decides here what is worth trying."""
    identity = machine.identity()
    return Machine(int(identity.get("usable_cores") or 1), machine.has_bfloat16())


class _Race:
    """Waves of candidates beside the default, as studies in the store."""

    failure = ""  # how the default's first run ended, where not well
    frozen: Candidate | None = None  # what is being confirmed already

    def __init__(
        self,
        study: Study,
        trial: Trial,
        found: Sequence[Option],
        store: Path,
        launcher: Launcher,
        listener: Listener,
        data_directory: Path | None,
    ) -> None:
        self._study, self._store = study, store
        self._settings = replace(trial.settings, order="sequential", turn_steps=None)
        self._order = (trial.settings.order, trial.settings.turn_steps)
        self._label = trial.label
        self._session: dict[str, Any] = {
            "launcher": launcher,
            "listener": listener,
            "data_directory": data_directory,
        }
        self._options = {option.name: option for option in found}
        asked = _digest(
            [VERSION, trial.trial_id, study.seed, dataclasses.asdict(study.rules), sorted(self._options)]
        )
        self._name, self._seed = f"refine-{asked[:8]}", int(asked[:12], 16)
        self._spent_s: dict[int, float] = {}
        self._limit_s: float | None = None
        self._observed: dict[str, Any] = {}

    def __call__(self, wave: int, candidates: Sequence[Candidate], rule: GoingOn) -> Standing:
        """Run a wave until its rule names nobody; how it then stands."""
        last: list[Standing] = []

        def going_on(study: Study, evidence: Evidence, number: int) -> Collection[str]:
            if wave == 0 and number == 0:
                self.frozen = self._being_confirmed(study)
            last[:] = [self._standing(wave, candidates, study, evidence, number)]
            if self.frozen is None:
                return rule(last[0])
            # Time is no question: who ran then runs now, which takes none.
            last[0] = replace(last[0], spent_s=0.0, run_s=dict.fromkeys(last[0].run_s, _NO_TIME_S))
            return set(rule(last[0])) & set(evidence.runs.filter(block=number)["label"])

        session.run_blocks(self._wave(wave, candidates), self._store, going_on, **self._session)
        return last[0]

    def _wave(self, wave: int, candidates: Sequence[Candidate]) -> Study:
        settings = {candidate.name: self._changed(candidate) for candidate in candidates}
        return self._of(
            f"{self._name}-{wave}",
            f"Search of settings for {self._label}, wave {wave}",
            {DEFAULT: self._settings, **settings},
            wave,
        )

    def confirmation(self, winner: Candidate, budget_s: float) -> Study:
        """The default against the winner until that is decided, on blocks that no search has seen.

        budget_s: for the whole refinement.
        """
        left_s = max(budget_s - sum(self._spent_s.values()), 1.0)
        order, turn_steps = self._order
        both = {
            label: replace(settings, order=order, turn_steps=turn_steps)
            for label, settings in ((DEFAULT, self._settings), (winner.name, self._changed(winner)))
        }
        default_id, winner_id = (settings.trial_id for settings in both.values())
        rules = replace(
            self._study.rules, is_sequential=True, num_comparisons=1, comparisons=((winner_id, default_id),)
        )
        study = self._of(
            f"{self._name}-{_CONFIRMATION}", f"{self._label} as it is, and tuned", both, -1, rules
        )
        return replace(study, budget=Budget(self._study.budget.max_blocks, max_hours=left_s / 3600))

    def _being_confirmed(self, study: Study) -> Candidate | None:
        """The candidate that this store has in confirmation, for the same model and data; None without."""
        with Reader(self._store) as reader:
            stored = reader.studies().filter(study=f"{self._name}-{_CONFIRMATION}")["document"]
        for default, winner in (json.loads(text)["trials"] for text in stored):
            if default["settings"]["content"] == dict(study.trials[0].settings.content):
                names = winner["label"].split(JOINT)
                return Candidate(tuple(self._options[name] for name in names))
        return None

    def _of(
        self,
        name: str,
        title: str,
        settings: Mapping[str, TrialSettings],
        wave: int,
        rules: Rules | None = None,
    ) -> Study:
        """A study of these. Its seed is its own, so that no other wave or search has its blocks."""
        rules = rules or Rules()
        trials = tuple(Trial(label, setting, {}) for label, setting in settings.items())
        about = [name, [trial.trial_id for trial in trials], dataclasses.asdict(rules)]
        return replace(
            self._study,
            name=name,
            title=title,
            description="",
            repeats=1,
            seed=self._seed + wave,
            trials=trials,
            matrix_keys=(),
            follow_up=None,
            rules=rules,
            budget=Budget(),
            digest=_digest(about),
        )

    def _changed(self, candidate: Candidate) -> TrialSettings:
        """The candidate's settings; when to give it up is no part of them."""
        settings = changed(self._settings, *(option.changes for option in candidate.options))
        limits = [limit for limit in (settings.time_limit_s, self._limit_s) if limit is not None]
        return replace(settings, time_limit_s=min(limits, default=None))

    def _standing(
        self, wave: int, candidates: Sequence[Candidate], study: Study, evidence: Evidence, number: int
    ) -> Standing:
        runs = evidence.runs.filter(pl.col("status") != "interrupted", pl.col("block") < number)
        self._spent_s[wave] = float(runs["wall_s"].sum() or 0.0)
        good = runs.filter(pl.col("status") == "ok", pl.col("train_s") > 0)
        of = {
            (label, block): (train_s, error)
            for label, block, train_s, error in good.select(
                "label", "block", "train_s", "final_validation_error"
            ).iter_rows()
        }
        observed = self._observations(study, good)
        self._observed |= {DEFAULT: observed[DEFAULT]} if DEFAULT in observed else {}
        failed = dict(
            runs.filter(pl.col("status") != "ok")
            .select("label", pl.format("{}: {}", "status", pl.col("reason").fill_null("")))
            .iter_rows()
        )
        run_s = dict(good.group_by("label").agg(pl.col("wall_s").mean()).iter_rows())
        if wave == 0 and number:
            self.failure = failed.get(DEFAULT, "")
            self._limit_s = max(_HUNG * run_s.get(DEFAULT, 0.0), _LEAST_LIMIT_S)
        measured = {}
        for candidate in candidates:
            mine = measured[candidate.name] = Measured(failure=failed.get(candidate.name, ""))
            for (label, block), (train_s, error) in of.items():
                beside = of.get((DEFAULT, block))
                if label != candidate.name or beside is None:
                    continue
                key = _BLOCKS_OF_A_WAVE * wave + block
                mine.logs[key] = math.log(train_s / beside[0])
                mine.errors[key] = error - beside[1]
            if len(candidate.options) == 1 and candidate.name in observed and DEFAULT in self._observed:
                mine.effect = candidate.options[0].effect(self._observed[DEFAULT], observed[candidate.name])
        return Standing(number, measured, run_s, sum(self._spent_s.values()))

    def _observations(self, study: Study, good: pl.DataFrame) -> dict[str, Any]:
        """By label, what its first good run observed."""
        with Reader(self._store) as reader:
            facts = reader.facts(study.digest)
        first = good.unique("label", keep="first", maintain_order=True)
        mine = facts.join(first.select("run_id"), on="run_id").select("label", "observed")
        found = {label: json.loads(text) for label, text in mine.iter_rows()}
        for one in found.values():
            if one.get("threads") == 0:  # TensorFlow's word for every CPU
                one["threads"] = len(one.get("cpus") or ()) or 0
        return found


def _digest(about: object) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
