"""A study's frames, arranged: sections, their races, and each race's comparisons."""

from __future__ import annotations

import itertools
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bakeoff import stats
from bakeoff.races import contestants as entering
from bakeoff.races import courses as timed
from bakeoff.races import exclusions, tracks
from bakeoff.races.definitions import Certified, Comparison, Contestant, Race, refusal
from bakeoff.races.evaluations import evaluations
from bakeoff.races.evidence import Evidence
from bakeoff.races.frames import Frames, Selection, observed_of, parsed, parted, select
from bakeoff.races.learning import learnings
from bakeoff.races.sections import Section
from bakeoff.races.targets import Target, target_of
from bakeoff.races.verdicts import named, rules_of, verdict
from bakeoff.study import Agreement, Errors, racing


def compose(
    frames: Frames,
    *,
    selection: Selection | None = None,
    rules: stats.Rules | None = None,
    target_error: float | None = None,
) -> tuple[Section, ...]:
    """A study's frames as sections: one for each data set and model, in the study's order.

    selection: the runs that may share a mean, if that is known already. rules: None takes those that the
    study was stored with. target_error: a fraction; None takes the study's, else the built-in target.
    """
    if not len(frames.runs):
        return ()
    selection = selection or select(frames.runs)
    titles = entering.titles(selection.chosen)
    document = parsed(frames.document)
    shared = _Shared(
        frames=frames,
        selection=selection,
        rules=rules or rules_of(document),
        targets=dict(document.get("target_error") or {}),
        target_error=target_error,
        certificates=_certificates(frames.certificates, selection.ok),
        certified=answered(frames.certificates, selection.ok) if _by_certificate(document) else frozenset(),
        named=named(document),
    )
    sections = [
        _rows(titles[str(dataset), str(model)], (str(dataset), str(model)), attempts, shared)
        for (dataset, model), attempts in sorted(
            selection.chosen.group_by(["dataset", "model"], maintain_order=True), key=_as_declared(document)
        )
    ]
    lent = _lent(sections)
    return tuple(_section(rows, lent) for rows in sections)


def _as_declared(document: Mapping[str, Any]) -> Callable[[tuple[tuple[object, ...], pl.DataFrame]], int]:
    """Key of a section's runs: where its study names data set and model. Order of runs is by lot."""
    settings = [trial["settings"] for trial in document.get("trials") or ()]
    places = list(dict.fromkeys((setting["dataset"], setting["model"]) for setting in settings))
    return lambda group: places.index(group[0]) if group[0] in places else len(places)


@dataclass(frozen=True)
class _Shared:
    """What all sections are made from.

    targets: the study's, by data set; target_error: the one asked for. certified: pairs whose errors a
    certificate answers for. named: pairs that the study is about.
    """

    frames: Frames
    selection: Selection
    rules: stats.Rules
    targets: Mapping[str, float]
    target_error: float | None
    certificates: Mapping[frozenset[str], Certified]
    certified: frozenset[frozenset[str]]
    named: frozenset[frozenset[str]]


_Lent = Mapping[frozenset[str], stats.Lent]
# What a pair's verdict is made from, its exclusions and its command: cut and sorted for every pair.
_JUDGED = (
    *("trial_id", "run_id", "repeat", "block", "status", "train_s", "final_validation_error", "num_epochs"),
    *("settings.epochs", "disturbed", "planned_blocks", "begun_for_blocks", "cache", "command"),
)


@dataclass(frozen=True)
class _Rows:
    """A section before its races are judged.

    ok: good runs; attempts: all. by_trial, tried: these by trial_id, `_JUDGED` alone. measured: what the good
    ones took.
    """

    title: str
    shared: _Shared
    groups: Sequence[tuple[str, Sequence[Contestant]]]
    axes: Mapping[str, tuple[Any, ...]]
    ok: pl.DataFrame
    epochs: pl.DataFrame
    by_trial: Mapping[str, pl.DataFrame]
    attempts: pl.DataFrame
    tried: Mapping[str, pl.DataFrame]
    measured: Mapping[str, timed.Measured]
    courses: timed.Courses
    evidence: Evidence
    target: Target | None


def _rows(title: str, of: tuple[str, str], attempts: pl.DataFrame, shared: _Shared) -> _Rows:
    frames = shared.frames
    trials = attempts.select("trial_id").unique()
    ok = shared.selection.ok.join(trials, on="trial_id", how="semi", maintain_order="left")
    observed = observed_of(frames.facts, ok.select("run_id"))
    seen = {  # of each trial, its last block
        trial_id: observed.get(run_id, {})
        for run_id, trial_id in ok.sort("block").select("run_id", "trial_id").iter_rows()
    }
    drop = {*of, *map(entering.stem, of)}
    evaluated = evaluations(frames.facts, ok)
    learnt = learnings(ok, frames.epochs, evaluated)
    contestants, axes = entering.contestants(attempts, seen, learnt, drop)
    trial_ids = [contestant.trial_id for contestant in contestants]
    naming = pl.DataFrame(
        {
            "trial_id": trial_ids,
            "contestant": [str(contestant.name) for contestant in contestants],
        },
        schema={"trial_id": pl.String, "contestant": pl.String},
    )
    ok = ok.join(naming, on="trial_id", maintain_order="left")
    cache = [observed.get(run_id, {}).get("compile_cache") for run_id in ok["run_id"]]
    ok = ok.with_columns(cache=pl.Series(cache, dtype=pl.String))
    epochs = frames.epochs.join(ok.select("run_id", "contestant"), on="run_id", maintain_order="left")
    return _Rows(
        title=title,
        shared=shared,
        groups=entering.groups(contestants, axes),
        axes=axes,
        ok=ok,
        epochs=epochs,
        by_trial=_by_trial(trial_ids, ok),
        measured={trial_id: timed.measured(runs) for trial_id, runs in parted(ok, trial_ids).items()},
        attempts=attempts.join(naming, on="trial_id", maintain_order="left"),
        tried=_by_trial(trial_ids, attempts),
        courses=timed.courses(ok, epochs, frames.phases),
        evidence=Evidence(ok, frames.outcomes, evaluated, learnt, shared.certified),
        target=target_of(
            of[0],
            shared.targets,
            on_all_images=_on_all_images(contestant.settings for contestant in contestants),
            asked=shared.target_error,
        ),
    )


def _by_trial(trial_ids: Iterable[str], runs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return parted(runs.select(name for name in runs.columns if name in _JUDGED), trial_ids)


def _lent(sections: Sequence[_Rows]) -> _Lent:
    """By pair of trial_ids, what other runs of the study show of the noise of its training times."""
    races = [(rows, members) for rows in sections for _, members in rows.groups]
    keys = racing.differing([members for _, members in races])
    alike: dict[str, str] = {}
    for _, members in races:
        names = [
            json.dumps([member.backend, member.environment, racing.values(member, keys)])
            for member in members
        ]
        for contestant, name in zip(members, names, strict=True):
            # Two that compute the same by different settings lend to nobody else, and not to each other.
            alike[contestant.trial_id] = name if names.count(name) == 1 else contestant.trial_id
    times = [{alike[member.trial_id]: _times(member, rows) for member in members} for rows, members in races]
    return {
        frozenset((a.trial_id, b.trial_id)): lent[frozenset((alike[a.trial_id], alike[b.trial_id]))]
        for (_, members), lent in zip(races, stats.lend(times), strict=True)
        for a, b in itertools.combinations(members, 2)
    }


def _times(contestant: Contestant, rows: _Rows) -> dict[int, float]:
    return dict(rows.by_trial[contestant.trial_id].select("block", "train_s").iter_rows())


def _section(rows: _Rows, lent: _Lent) -> Section:
    return Section(
        title=rows.title,
        races=tuple(_race(setting, members, rows, lent) for setting, members in rows.groups),
        axes=rows.axes,
        runs=rows.ok,
        epochs=rows.epochs,
        attempts=rows.attempts,
        target=rows.target,
    )


def _on_all_images(settings: Iterable[Mapping[str, Any]]) -> bool:
    return all(
        setting.get("train_images") is None
        and setting.get("evaluation_images") is None
        and setting.get("evaluation_split", "test") == "test"
        for setting in settings
    )


def _race(setting: str, members: Sequence[Contestant], rows: _Rows, lent: _Lent) -> Race:
    comparisons = [_compare(a, b, rows, lent) for a, b in itertools.combinations(members, 2)]
    may_be_ranked = all(comparison.is_asked for comparison in comparisons)
    return Race(
        setting=setting,
        contestants=tuple(members),
        comparisons=_ranked(comparisons),
        ranking=_ranking(members, comparisons, rows, lent) if may_be_ranked and len(members) > 1 else None,
    )


def _ranking(
    members: Sequence[Contestant], comparisons: Sequence[Comparison], rows: _Rows, lent: _Lent
) -> stats.Ranking:
    """By training time; the error rate is that of the race, whatever else the study compares.

    It holds at every look where one of the comparisons has to.
    """
    rules = replace(
        rows.shared.rules,
        num_comparisons=1,
        is_sequential=any(comparison.verdict.rules.is_sequential for comparison in comparisons),
    )
    times = [_times(member, rows) for member in members]
    blocks = sorted({block for time in times for block in time})
    table = np.array([[time.get(block) for block in blocks] for time in times], dtype=float)
    of_pairs = {
        (a, b): lent[frozenset((members[a].trial_id, members[b].trial_id))]
        for a, b in itertools.combinations(range(len(members)), 2)
    }
    return stats.rank(table.reshape(len(members), len(blocks)), rules, of_pairs)


def _ranked(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Those that the fastest contestant wins come first, close ones before clear ones; refused ones last.

    Pairs that the study is about come before others.
    """
    ratios = {id(comparison): comparison.verdict.time.ratio for comparison in comparisons}
    asked = [comparison for comparison in comparisons if comparison.refusal is None]
    wins = Counter(one.first.trial_id for one in asked if ratios[id(one)] is not None)
    return tuple(
        sorted(
            comparisons,
            key=lambda comparison: (
                comparison.refusal is not None,
                comparison.is_aside,
                ratios[id(comparison)] is None,
                -wins[comparison.first.trial_id],
                -(ratios[id(comparison)] or 0.0),
            ),
        )
    )


def _compare(a: Contestant, b: Contestant, rows: _Rows, lent: _Lent) -> Comparison:
    shared = rows.shared
    both = frozenset((a.trial_id, b.trial_id))
    of_pair = lent[both]
    runs = pl.concat(rows.by_trial[one.trial_id] for one in (a, b)).sort("block", maintain_order=True)
    attempts = pl.concat(rows.tried[one.trial_id] for one in (a, b))
    is_finished = _is_finished(attempts)

    def judge(first: Contestant, second: Contestant, others: pl.DataFrame) -> stats.Verdict:
        return verdict(
            first.trial_id,
            second.trial_id,
            replace(rows.evidence, runs=others),
            shared.rules,
            is_finished=is_finished,
            lent=of_pair,
        )

    found = judge(a, b, runs)
    rules = found.rules
    if found.time.ratio is not None and found.time.ratio > 1:
        a, b, found = b, a, found.inverse
    track, differing = tracks.track(a, b)
    refused, growth = refusal(a, b), racing.growth(a, b)
    is_asked = not (refused or growth)
    of_a, of_b = (rows.courses.get(one.trial_id, {}) for one in (a, b))
    target = rows.target
    reached = timed.to_target(of_a, of_b, target.error, rules) if target else None
    alike = timed.alike_compiled(rows.by_trial[a.trial_id], rows.by_trial[b.trial_id])
    blocks = set(rows.by_trial[a.trial_id]["block"]) & set(rows.by_trial[b.trial_id]["block"])
    counted = runs.filter(pl.col("block").is_in(list(blocks)))
    pair = (a, b)
    return Comparison(
        first=a,
        second=b,
        verdict=found,
        measures=timed.measures(
            rows.measured[a.trial_id], rows.measured[b.trial_id], of_a, of_b, alike, rules
        ),
        num_compiled_otherwise=len(blocks - alike),
        target=reached,
        target_error=target.error if target and reached else None,
        break_even=timed.break_even(of_a, of_b, alike, rules) if is_asked else None,
        certificate=_certified(a, b, shared.certificates),
        track=track,
        differing=differing,
        refusal=refused,
        growth=growth,
        is_aside=is_asked and bool(shared.named) and both not in shared.named,
        excluded=exclusions.excluded(pair, runs, attempts, shared.selection.left_out),
        hinge=exclusions.hinge(pair, runs, attempts, found, lambda others: judge(a, b, others)),
        run_ids=tuple(counted.sort("block", "trial_id")["run_id"]),
        command=command_of(counted),
    )


def _certified(a: Contestant, b: Contestant, known: Mapping[frozenset[str], Certified]) -> Certified:
    """What their certificate says of them, and their settings of what it doesn't look at.

    Where the question is how cost grows, it is about their steps alone.
    """
    certificate = known.get(frozenset((a.trial_id, b.trial_id)), Certified())
    otherwise = "" if racing.growth(a, b) else racing.trained_otherwise(a, b)
    return Certified(Agreement.DIFFERENT, otherwise) if certificate.is_same and otherwise else certificate


def _is_finished(attempts: pl.DataFrame) -> bool:
    """Whether each block that the study planned beforehand has been tried with both; true if unknown."""
    if "planned_blocks" not in attempts.columns:
        return True
    tried: dict[str, set[int]] = {}
    planned: dict[str, int] = {}
    columns = ("trial_id", "status", "repeat", "planned_blocks")
    for trial_id, status, repeat, num_planned in attempts.select(columns).iter_rows():
        if status not in ("running", "interrupted"):
            tried.setdefault(trial_id, set()).add(repeat)
            planned[trial_id] = num_planned or 0
    return all(len(repeats) >= planned[trial_id] for trial_id, repeats in tried.items())


def command_of(runs: pl.DataFrame) -> str:
    """The command that started the last of these runs, as one would type it; empty if none is known."""
    if not len(runs) or "command" not in runs.columns or not runs["command"][-1]:
        return ""
    words = json.loads(runs["command"][-1])
    if not words:
        return ""
    name = Path(words[0]).name
    return shlex.join(["bakeoff" if name == "__main__.py" else name, *words[1:]])


def _certificates(frame: pl.DataFrame, runs: pl.DataFrame) -> dict[frozenset[str], Certified]:
    """By pair of trial_ids, what the last verification of them says: in the environments that these runs had.

    frame: the last verification first; empty where none is known.
    """
    found: dict[frozenset[str], Certified] = {}
    if not len(frame):
        return found
    ran_in = _ran_in(runs)
    for row in frame.iter_rows(named=True):
        sides = [(row[f"{one}_trial"], row[f"{one}_environment_digest"]) for one in ("one", "other")]
        # Two trials that are verified as one are the same by themselves, in any environment.
        if all(digest is None or digest in ran_in.get(trial, ()) for trial, digest in sides):
            pair = frozenset(trial for trial, _ in sides)
            found.setdefault(pair, Certified(Agreement(row["verdict"]), row["words"] or ""))
    return found


# In what two trials may differ that a certificate says of both that they end at the same error: by whom, and
# how, but not what. Its own comparison leaves out batches, data and epochs, so that these have to be equal.
_HOW = (
    *("backend", "environment", "settings.entry", "settings.handicap", "settings.time_limit_s"),
    *("settings.threads", "settings.pin_cpus", "settings.keep_memory", "settings.jit"),
    *("settings.data_layout", "settings.deterministic", "settings.keep_event_logs"),
    *("settings.steps_per_execution", "settings.autotune_input", "settings.equivalent_layers"),
    "settings.variables",
    *("settings.order", "settings.turn_steps"),
)


def answered(certificates: pl.DataFrame, runs: pl.DataFrame) -> frozenset[frozenset[str]]:
    """Pairs of trial_ids whose certificate answers for their errors, where their runs leave these open.

    Both were shown to train the same thing, in the environments of these runs, and all that the certificate
    doesn't look at is the same: images, epochs, batches. Not on a cluster, whose merging it knows nothing of.
    """
    same = [
        pair
        for pair, certified in _certificates(certificates, runs).items()
        if certified.is_same and len(pair) == 2
    ]
    if not same:
        return frozenset()
    what = [name for name in runs.columns if name.startswith("settings.") and name not in _HOW]
    alone = (
        runs.filter(pl.col("settings.distribution") == "single") if "settings.distribution" in what else runs
    )
    of = {
        str(row[0]): row[1:]
        for row in alone.select("trial_id", "dataset", "model", *what).unique("trial_id").iter_rows()
    }
    return frozenset(pair for pair in same if len({of.get(one, one) for one in pair}) == 1)


def _by_certificate(document: Mapping[str, Any]) -> bool:
    """Whether a study lets certificates answer; those stored before they could were fixed without."""
    return bool((document.get("rules") or {}).get("errors") == Errors.CERTIFIED)


def certified_rounds(frame: pl.DataFrame, runs: pl.DataFrame) -> dict[str, Certified]:
    """By trial_id, what the last verification of a synchronous round says, in the environments of these runs.

    frame: certificates, the last first; empty where none is known.
    """
    found: dict[str, Certified] = {}
    ran_in = _ran_in(runs)
    for row in frame.filter(kind="round").iter_rows(named=True) if len(frame) else ():
        if row["one_environment_digest"] in ran_in.get(row["one_trial"], ()):
            found.setdefault(row["one_trial"], Certified(Agreement(row["verdict"]), row["words"] or ""))
    return found


def _ran_in(runs: pl.DataFrame) -> dict[str, set[str]]:
    """By trial_id, the environments of its runs."""
    found: dict[str, set[str]] = {}
    for trial_id, digest in runs.select("trial_id", "environment_digest").iter_rows():
        found.setdefault(trial_id, set()).add(digest)
    return found
