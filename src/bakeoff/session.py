"""A study from its plan to its stored results: what ``bakeoff run`` and a notebook have in common."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from bakeoff import plan, stats, stopping
from bakeoff.environments import Consent, unasked
from bakeoff.errors import BakeoffError
from bakeoff.events import Event, Listener, RunBegan, ignore, tell
from bakeoff.execute import Provision, Tally, check_memory, condition_of, execute
from bakeoff.farm import Farm, Order, connect
from bakeoff.identity import identify
from bakeoff.launchers import local
from bakeoff.launchers.base import Launcher
from bakeoff.prepare import prepare
from bakeoff.races import evaluations, learnings, verdicts
from bakeoff.races.choice import Choice, choose_fastest
from bakeoff.races.compose import answered
from bakeoff.races.evidence import Evidence
from bakeoff.races.frames import apart
from bakeoff.races.learning import nothing_learnt
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Condition, StudyRow, Writer
from bakeoff.study import Errors, FollowUp, Study, Trial, comparisons
from bakeoff.study.words import key_name, text
from bakeoff.verification import Beforehand
from bakeoff_worker.job import RunSpec


def run(
    study: Study,
    store: str | Path = "bakeoff.sqlite",
    *,
    listener: Listener = ignore,
    data_directory: Path | None = None,
    launcher: Launcher = local.launch,
    verify: bool = True,
    farm: str = "",
    consent: Consent = unasked,
) -> Tally:
    """Run what is missing of a study in a store, its follow-up included; how many runs ended how.

    listener: is told what happens (`bakeoff.events`), of each record once it is safe in the store, while the
    run waits. data_directory: is searched for data sets before any download. verify: whether contestants are
    first shown to train the same thing, once (`bakeoff.verification`). farm: the resource manager through
    which blocks run on a cluster's nodes (`bakeoff.farm`), such as ``slurm``; empty: here. consent: is asked
    before gigabytes of CUDA are downloaded; without one, that is refused.

    Raises:
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one, or contestants that alternate don't fit
            into memory together. The resource manager does not answer, or refuses.
        EnvironmentFailure: CUDA would be downloaded, and there is no room for it, or no consent.
        KeyboardInterrupt: the user stopped it; the same call goes on with what is missing.
    """
    store = Path(store)
    begun = _begin(study, store, listener, data_directory, launcher, verify, farm, consent)
    with begun as execution:
        study, writer = execution.study, execution.writer
        specs, branches = plan.expand(study), plan.expand_follow_up(study)
        _tell_of_other_rules(study, store, listener)
        _tell_of_unknown_contents(specs, store, listener)
        _tell_of_other_conditions(specs, execution.here, store, listener)
        planned = writer.begin_study(study_row(study, specs))
        tally = execution.run(study.trials, specs, study.title, listener)
        if study.follow_up is None:
            return tally
        branch = _chosen_before(study.follow_up, planned)
        if branch is not None:
            tell(listener, f"{_with_value(study.follow_up, branch)} was chosen before, and stays")
        else:
            evidence = execution.evidence()
            for words in _idle(study, evidence):
                tell(listener, words)
            times = _times(study.follow_up, evidence)
            choice = choose_fastest(times)
            tell(listener, _reason(study.follow_up, choice, times))
            if choice is None:
                return tally
            branch = choice.index
            writer.begin_study(study_row(study, (*specs, *branches[branch])))
        counted_on = _counted_on(listener, sum(tally.counts.values()))
        then, title = study.follow_up.branches[branch].trials, f"then {_changes(study.follow_up)}"
        return tally + execution.run(then, branches[branch], title, counted_on)


GoingOn = Callable[[Study, Evidence, int], Collection[str]]


def run_blocks(
    study: Study,
    store: Path,
    going_on: GoingOn,
    *,
    listener: Listener = ignore,
    data_directory: Path | None = None,
    launcher: Launcher = local.launch,
) -> None:
    """Run a study block after block, each with those of its trials that go on, until nobody does.

    going_on: labels of the trials in the next block, from the study (its own models and data identified),
    what the store has of it, and the number of blocks so far. It is asked again about blocks that are there
    already, so that a study which was interrupted goes on as if it had not been.

    The other arguments, and what is raised, are those of `run`.
    """
    with _begin(study, store, listener, data_directory, launcher, verify=False) as execution:
        execution.writer.begin_study(study_row(execution.study, ()))
        execution.run_blocks(going_on, listener)


@contextmanager
def _begin(
    study: Study,
    store: Path,
    listener: Listener,
    data_directory: Path | None,
    launcher: Launcher,
    verify: bool,
    farm: str = "",
    consent: Consent = unasked,
) -> Iterator[_Execution]:
    """The study as it can be run here and now, its runs' needs made ready; nothing of it is stored yet."""
    cluster = connect(farm, study.farm) if farm else None
    with Writer(store) as writer:
        for recovered in writer.recover():
            tell(listener, f"{recovered.label}, repeat {recovered.repeat + 1}: {recovered.end.reason}")
        asked = (*plan.expand(study), *itertools.chain.from_iterable(plan.expand_follow_up(study)))
        provisions = prepare(study, asked, data_directory=data_directory, listener=listener, consent=consent)
        named = identify(study, provisions, launcher=launcher, listener=listener)
        study, provisions = named.study, named.provisions
        of = cluster.condition_of if cluster else condition_of
        here = {trial_id: of(one) for trial_id, one in provisions.items()}
        beforehand = Beforehand(
            study, writer, provisions, launcher=launcher, listener=listener, data_directory=data_directory
        )
        yield _Execution(study, writer, provisions, here, launcher, beforehand if verify else None, cluster)


def study_row(study: Study, specs: tuple[RunSpec, ...]) -> StudyRow:
    """The study as the store keeps it: the whole of it, so that it can be run again from there."""
    return StudyRow(
        digest=study.digest,
        name=study.name,
        title=study.title,
        document=study.document(),
        specs=specs,
        axes={trial.trial_id: trial.axes for trial in study.all_trials},
    )


def _tell_of_other_rules(study: Study, store: Path, listener: Listener) -> None:
    """Rules are fixed before the first run: where a study of that name had others by then, it is said."""
    with Reader(store) as reader:
        before = reader.studies().filter(
            pl.col("study") == study.name, pl.col("digest") != study.digest, pl.col("num_ok") > 0
        )
    for document in before["document"][:1]:
        rules = stopping.changed(verdicts.rules_of(document), stopping.rules_of(study))
        if rules:
            tell(
                listener,
                f"{study.name} was run before by other rules; now: {rules}. It counts as a new study, and "
                "reuses the runs. If their results were seen, these rules were chosen after the runs",
            )
        repeats = json.loads(document).get("repeats")
        if not study.rules.is_sequential and repeats not in (None, study.repeats):
            tell(
                listener,
                f"{study.name} was run before with {repeats} repeats, now {study.repeats}. The number was "
                "changed after results could be seen: verdicts will use wider intervals, valid at every look",
            )


def _tell_of_unknown_contents(specs: Sequence[RunSpec], store: Path, listener: Listener) -> None:
    """Older versions knew own data and models by less than they are: what is left out is said."""
    with Reader(store) as reader:
        number = reader.num_of_unknown_content({spec.trial_id: spec.settings for spec in specs}.values())
    if number:
        tell(
            listener,
            f"{number} run{'s' * (number > 1)} of an older Bakeoff in the store asked for the same, "
            "but it did not note all that they depended on (images, files that models or load() read). They "
            "stay in the store, but don't count here: these runs are made again",
        )


def _tell_of_other_conditions(
    specs: Sequence[RunSpec], here: Mapping[str, Condition], store: Path, listener: Listener
) -> None:
    """Nothing measured is measured again, but for what was measured elsewhere or otherwise: that is said."""
    asked = {(spec.trial_id, spec.repeat, spec.seed): here[spec.trial_id] for spec in specs}
    with Reader(store) as reader:
        runs = reader.runs().filter(status="ok").unique("run_id", maintain_order=True)
    rows = [row for row in runs.iter_rows(named=True) if _asks(row) in asked]
    present = {_asks(row) for row in rows if row["condition_id"] == asked[_asks(row)].condition_id}
    why: Counter[str] = Counter()
    for row in rows:
        condition = asked[_asks(row)]
        if _asks(row) not in present and condition.environment_digest:  # else it can't run here
            why[apart(row, condition.machine_id, condition.measurement_version)] += 1
    for words, number in why.items():
        said = "is in the store, but was" if number == 1 else "are in the store, but were"
        tell(
            listener,
            f"{number} of these runs {said} made under other conditions: {words}. What is there stays, "
            "shares no mean with new runs, and is made again",
        )


def _asks(run: Mapping[str, Any]) -> tuple[str, int, int]:
    return run["trial_id"], run["repeat"], run["seed"]


# ---- a number of blocks, or until all is decided ----------------------------------------------------


@dataclass(frozen=True)
class _Execution:
    """A study as it can be run here and now: on these provisions, by trial_id, under these conditions."""

    study: Study
    writer: Writer
    provisions: Mapping[str, Provision | BakeoffError]
    here: Mapping[str, Condition]
    launcher: Launcher
    beforehand: Beforehand | None
    farm: Farm | None

    @property
    def conditions(self) -> dict[str, str]:
        """Their names, by trial_id."""
        return {trial_id: condition.condition_id for trial_id, condition in self.here.items()}

    def run(self, trials: Sequence[Trial], specs: Sequence[RunSpec], title: str, listener: Listener) -> Tally:
        """Run what is missing of these specs; where the study asks for it, of more blocks of these trials."""
        if self.study.rules.is_sequential:
            return self._until_decided(trials, title, listener)
        left = self._missing(specs, listener)
        tell(
            listener,
            f"{title}: {len(left)} of {len(specs)} runs to do; results go to {self.writer.path}",
        )
        return self._execute(left, listener, Order(left, specs))

    def run_blocks(self, going_on: GoingOn, listener: Listener) -> None:
        """Run what is missing of each block of those that go on, until nobody does."""
        for number in itertools.count():
            labels = going_on(self.study, self.evidence(), number)
            trials = [trial for trial in self.study.trials if trial.label in labels]
            if not trials:
                return
            block = plan.block(self.study, trials, number)
            self.writer.begin_study(study_row(self.study, block))
            over = self.evidence().runs.filter(
                pl.col("status") != "interrupted"
            )  # a failure is an answer, too
            left = plan.missing(block, set(over.select("trial_id", "repeat").iter_rows()))
            self._execute(left, listener, Order(left, block))

    def _until_decided(self, trials: Sequence[Trial], title: str, listener: Listener) -> Tally:
        """Add block after block until each comparison is decided, or the budget is spent.

        Each block that is there already is looked at in its turn, so that the study stops where it would
        have stopped if it had never been interrupted. A contestant with nothing left to decide sits out.
        """
        budget, rules = self.study.budget, stopping.rules_of(self.study)
        labels = {trial.trial_id: trial.label for trial in trials}
        pairs = [pair for pair in self.study.rules.comparisons if labels.keys() >= set(pair)]
        tell(
            listener,
            f"{title}: {stopping.opening(len(pairs), budget)}; results go to {self.writer.path}",
        )
        for words in comparisons.not_compared(trials):
            tell(listener, words)
        tally, number, told = Tally(), 0, None
        while True:
            evidence = self.evidence()
            look = stopping.look(pairs, number, evidence, rules)
            block = self._after(look, trials)
            left = self._missing(block, listener)
            is_over = not block or stopping.exceeds(
                evidence, budget.max_hours, (spec.trial_id for spec in left)
            )
            if (left or is_over) and number >= stats.MIN_BLOCKS:
                tell(listener, stopping.report(look, told, labels))
                told = look
            if is_over:
                if self.farm and (num_ahead := self.farm.drop(self.study, self.writer.path)):
                    tell(listener, f"blocks that were submitted ahead and are not needed: {num_ahead}")
                tell(listener, stopping.conclusion(look, budget, stopping.hours(evidence)))
                return replace(tally, num_undecided=len(look.undecided))
            self.writer.begin_study(study_row(self.study, block))
            order = Order(left, block, self._ahead(look, trials), in_turn=True)
            tally += self._execute(left, _counted_on(listener, sum(tally.counts.values())), order)
            number += 1

    def _ahead(self, look: stopping.Look, trials: Sequence[Trial]) -> tuple[RunSpec, ...]:
        """On a farm, what may run beside the next block: what comes after it if that block decides nothing.

        As many blocks as nodes, and without a number, those before which nothing can be decided. Blocks are
        judged in their order and none is stored before its turn, so that the study takes the looks, at the
        data, that it would take without: its chance of a wrong verdict is the same.
        """
        if self.farm is None:
            return ()
        num_blocks = (self.study.farm.nodes or stats.MIN_BLOCKS) - 1
        looks = (replace(look, num_blocks=look.num_blocks + more) for more in range(1, num_blocks + 1))
        return tuple(spec for each in looks for spec in self._after(each, trials))

    def _after(self, look: stopping.Look, trials: Sequence[Trial]) -> tuple[RunSpec, ...]:
        """The block after a look: whoever has something to decide, and within the repeats who never had."""
        study, number = self.study, look.num_blocks
        asked = look.active if number < study.budget.max_blocks else frozenset()
        others = frozenset(trial.trial_id for trial in trials) - study.compared
        going_on = asked | (others if number < study.repeats else frozenset())
        return plan.block(study, [trial for trial in trials if trial.trial_id in going_on], number)

    def evidence(self) -> Evidence:
        """What the store has of the study under present conditions."""
        with Reader(self.writer.path) as reader:
            runs, facts = reader.runs(self.study.digest), reader.facts(self.study.digest)
            outcomes, epochs = reader.outcomes(self.study.digest), reader.epochs(self.study.digest)
            certificates = reader.certificates(self.study.digest)
        present = pl.col("trial_id").replace_strict(self.conditions, default=None, return_dtype=pl.String)
        runs = runs.filter(pl.col("condition_id") == present)
        evaluated = evaluations(facts, runs)
        good = runs.filter(status="ok")
        learnt = learnings(good, epochs, evaluated)
        certified = answered(certificates, good) if self.study.rules.errors is Errors.CERTIFIED else ()
        return Evidence(runs, outcomes, evaluated, learnt, certified)

    def _missing(self, specs: Sequence[RunSpec], listener: Listener) -> tuple[RunSpec, ...]:
        """What is to be done of these; where contestants alternate, it is said if some of a block are not."""
        with Reader(self.writer.path) as reader:
            left = plan.missing(specs, reader.done(specs, self.conditions))
        planned, lacking = (
            Counter(spec.block for spec in some if spec.settings.alternates) for some in (specs, left)
        )
        if parts := [block + 1 for block, number in lacking.items() if number < planned[block]]:
            which = f"block{'s' * (len(parts) > 1)} {', '.join(map(str, parts))}"
            tell(
                listener,
                f"{which}: some contestants have run already; the others take turns without them",
            )
        return left

    def _execute(self, specs: Sequence[RunSpec], listener: Listener, order: Order) -> Tally:
        if self.beforehand is not None:
            met = [(trial.label, trial.settings) for trial in self.study.trials]
            met += [(spec.label, spec.settings) for spec in specs]
            self.beforehand.verify(specs, met)
        if self.farm is not None:
            order = replace(order, time_min=self._minutes(self.farm, order.whole, listener))
            return self.farm.execute(
                order,
                self.study,
                self.provisions,
                writer=self.writer,
                launcher=self.launcher,
                listener=listener,
            )
        if any(spec.settings.alternates for spec in specs):
            with Reader(self.writer.path) as reader:
                check_memory(specs, reader.peak_memory(spec.settings for spec in specs))
        return execute(
            specs,
            self.provisions,
            study_digest=self.study.digest,
            writer=self.writer,
            launcher=self.launcher,
            listener=listener,
        )

    def _minutes(self, farm: Farm, whole: Sequence[RunSpec], listener: Listener) -> int | None:
        """How long the longest block's job may take."""
        with Reader(self.writer.path) as reader:
            history = [run for run in reader.history() if run.machine_id == farm.machine_id]
        blocks = [[spec for spec in whole if spec.block == block] for block in {spec.block for spec in whole}]
        estimates = [plan.estimate(specs, history) for specs in blocks]
        known = [estimate for estimate in estimates if not estimate.num_unknown]
        if not known:
            return farm.minutes(None, None, listener)
        longest = max(known, key=lambda one: one.high_s or 0.0)
        return farm.minutes(longest.low_s, longest.high_s, listener)


# ---- what follows ---------------------------------------------------------------------------------


def _chosen_before(follow_up: FollowUp, planned: Collection[str]) -> int | None:
    """The branch whose trials the store plans already: the choice is made once, whatever comes later."""
    for index, branch in enumerate(follow_up.branches):
        if branch.trials and all(trial.trial_id in planned for trial in branch.trials):
            return index
    return None


def _idle(study: Study, evidence: Evidence) -> Iterator[str]:
    """A line for each contestant that learnt nothing: the fastest way to do so is no reason to choose it."""
    for trial in study.trials:
        if learning := evidence.idle.get(trial.trial_id):
            yield f"{trial.label} learnt nothing, so that its times don't count: {nothing_learnt(learning)}"


def _times(follow_up: FollowUp, evidence: Evidence) -> list[dict[tuple[str, int], float]]:
    """For each branch, the training seconds of the study's good runs that have its value.

    By contestant and block. Those of contestants that learnt nothing do not count.
    """
    good = evidence.runs.filter(pl.col("status") == "ok", pl.col("train_s").is_not_null())
    rows = list(good.select("trial_id", "block", "train_s").iter_rows())
    idle = evidence.idle
    return [
        {
            (branch.compared[trial_id], block): train_s
            for trial_id, block, train_s in rows
            if trial_id in branch.compared and trial_id not in idle
        }
        for branch in follow_up.branches
    ]


def _reason(
    follow_up: FollowUp, choice: Choice | None, times: Sequence[Mapping[tuple[str, int], float]]
) -> str:
    """One line for people: what goes on, and on which evidence."""
    if choice is None:
        name = key_name(follow_up.choose)
        return (
            f"no run with any {name} ended well and learnt anything, so none can be chosen: "
            f"{_changes(follow_up)} is not run"
        )
    reasons = []
    for other, verdict in choice.against.items():
        value, ratio = text(follow_up.choose, follow_up.branches[other].value), verdict.time
        if ratio.ratio is None:
            why = (
                "no repeat of it ended well with both"
                if times[other]
                else "no run with it ended well and learnt"
            )
            reasons.append(f"not compared with {value}: {why}")
            continue
        interval = "" if ratio.low is None else f"95 % interval {ratio.low:.3g} to {ratio.high:.3g}, "
        pairs = f"{ratio.num_blocks} pair{'s' if ratio.num_blocks > 1 else ''}"
        doubt = "" if verdict.kind == stats.FASTER else f": {verdict.kind}, the lower one is taken"
        reasons.append(f"{ratio.ratio:.3g} times the training time with {value} ({interval}{pairs}){doubt}")
    return f"{_with_value(follow_up, choice.index)} goes on: {'; '.join(reasons) or 'there is no other'}"


def _with_value(follow_up: FollowUp, branch: int) -> str:
    value = text(follow_up.choose, follow_up.branches[branch].value)
    return f"{key_name(follow_up.choose)} {value}"


def _changes(follow_up: FollowUp) -> str:
    return ", ".join(f"{key_name(key)} {text(key, value)}" for key, value in follow_up.changes.items())


def _counted_on(listener: Listener, num_before: int) -> Listener:
    """Tells a listener of runs that come after `num_before` others, and are counted on from them."""

    def told(event: Event) -> None:
        if isinstance(event, RunBegan):
            event = replace(event, index=event.index + num_before, total=event.total + num_before)
        listener(event)

    return told
