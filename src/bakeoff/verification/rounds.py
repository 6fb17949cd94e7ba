"""Whether one synchronous round on a cluster gives the weights that its stated arithmetic says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bakeoff.errors import BakeoffError
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision
from bakeoff.launchers.base import Launcher
from bakeoff.launchers.scratch import scratch
from bakeoff.study import Agreement
from bakeoff.verification import tolerances
from bakeoff.verification.collection import Needs, show
from bakeoff.verification.findings import plain
from bakeoff.verification.tolerances import Array
from bakeoff_worker.job import RunSpec, TrialSettings

_TIME_LIMIT_S = 3600.0
_WEIGHT_ROUNDINGS = 8  # of a weight itself, in subtracting changes from it one after another


@dataclass(frozen=True)
class Round:
    """What is verified once for all trials that share it. label: of the first of them; trial_ids: of all."""

    label: str
    settings: TrialSettings
    trial_ids: tuple[str, ...]

    @property
    def verified_id(self) -> str:
        """16 hex digits that name it."""
        return self.settings.trial_id


@dataclass(frozen=True)
class Judged:
    """What one round came to.

    verdict: `Agreement.SAME` if it is what it is said to be. findings: what isn't, one sentence each. stated:
    its arithmetic, in the words of the distribution. sizes: rows of each shard; skipped: how many of them
    trained nothing. shards: worst relative difference of a shard's change from what the same rows come to on
    one machine. merged: the same of the weights' whole change from what the shards' changes come to.
    declined: no such round can be verified, rather than that something went wrong.
    """

    verdict: Agreement
    findings: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    merge: str = ""
    sizes: tuple[int, ...] = ()
    skipped: int = 0
    shards: float = 0.0
    merged: float = 0.0
    reason: str = ""
    declined: bool = False

    @property
    def words(self) -> str:
        """For people, without the verdict and without a full stop."""
        if self.verdict is Agreement.NOT_COMPARED:
            return " ".join(self.reason.split())[:300]
        if self.verdict is Agreement.DIFFERENT:
            return "; ".join(self.findings)
        return (
            f"one round is the {self.merge} of its {len(self.sizes)} shards' changes, {self.skipped} of them "
            f"skipped, within {self.merged:.0e}; each shard's is what the same rows come to on one machine, "
            + (f"within {self.shards:.0e}" if self.shards else "to the last bit")
        )


@dataclass(frozen=True)
class VerifiedRound:
    """A round and what was found of it. environment_digest: of what it ran in."""

    round: Round
    environment_digest: str
    judged: Judged

    @property
    def all_same(self) -> bool:
        """Whether it is certified."""
        return self.judged.verdict == Agreement.SAME

    def document(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "title": f"one synchronous round: {self.round.label}",
            "subject": self.round.verified_id,
            "trial_ids": list(self.round.trial_ids),
            "environment_digest": self.environment_digest,
            "words": self.judged.words,
            **plain(self.judged),
        }


def rounds(trials: Iterable[tuple[str, TrialSettings]]) -> tuple[Round, ...]:
    """From labels and settings of trials, the rounds to verify, in the order of the trials."""
    found: dict[str, Round] = {}
    for label, settings in trials:
        if settings.distribution == "single":
            continue
        known = found.get(settings.verified_round_id)
        if known is None:
            found[settings.verified_round_id] = Round(label, settings.one_round(), (settings.trial_id,))
        elif settings.trial_id not in known.trial_ids:
            trial_ids = (*known.trial_ids, settings.trial_id)
            found[settings.verified_round_id] = dataclasses.replace(known, trial_ids=trial_ids)
    return tuple(found.values())


def verify_round(
    one: Round,
    provision: Provision | BakeoffError,
    *,
    seed: int,
    launcher: Launcher,
    listener: Listener = ignore,
) -> VerifiedRound:
    """One round on a small cluster of its own, and what was found of it."""
    if isinstance(provision, BakeoffError):
        return VerifiedRound(one, "", Judged(Agreement.NOT_COMPARED, reason=provision.message))
    tell(listener, f"{one.label}: one round on a cluster of {one.settings.distribution_options['layout']}")
    settings = dataclasses.replace(one.settings, time_limit_s=_TIME_LIMIT_S)
    java = provision.java.home if provision.java else None
    needs = Needs(provision.environment, provision.dataset, provision.model_file, java)
    with scratch("bakeoff-verify-") as folder:
        shown = show(RunSpec(settings, one.label, 0, 0, 0, seed), needs, folder / "round", launcher)
        if shown.path is None:
            judged = Judged(Agreement.NOT_COMPARED, reason=shown.reason, declined=shown.declined)
        else:
            with np.load(shown.path, allow_pickle=False) as arrays:
                judged = judge_round({name: arrays[name] for name in arrays.files})
    return VerifiedRound(one, provision.environment.digest, judged)


def judge_round(arrays: Mapping[str, Array]) -> Judged:
    """What a round came to, from what it showed: see `bakeoff_worker.distribution.elephas.verification`."""
    about = json.loads(str(arrays["about"]))
    names: list[str] = about["weights"]
    places, partitions = range(len(names)), about["partitions"]
    epsilon = tolerances.EPSILON[about["precision"]]
    tolerance = tolerances.of(about["precision"]).weights
    start = [arrays[f"start/{place}"].astype("float64") for place in places]
    moved = [start[place] - arrays[f"end/{place}"] for place in places]
    floors = [_WEIGHT_ROUNDINGS * epsilon * float(np.linalg.norm(one.ravel())) / tolerance for one in start]
    rows = {partition: arrays[f"shard/{partition}/rows"].tolist() for partition in partitions}
    changes = {
        partition: [arrays[f"shard/{partition}/change/{place}"].astype("float64") for place in places]
        for partition in partitions
    }
    findings = [*_rows_amiss(list(rows.values()), about["num_rows"])]
    worst_shard, skipped = 0.0, 0
    for partition in partitions:
        size = len(rows[partition])
        if size <= about["batch_size"]:
            skipped += 1
            if any(change.any() for change in changes[partition]):
                findings.append(f"a shard of {size} rows, no more than a batch, sent a change")
            continue
        if f"shard/{partition}/alone/0" not in arrays:
            continue  # rows that nobody gave it: said already
        alone = [arrays[f"shard/{partition}/alone/{place}"].astype("float64") for place in places]
        apart = [tolerances.difference(changes[partition][p], alone[p], floors[p]) for p in places]
        place = int(np.argmax(apart))
        worst_shard = max(worst_shard, apart[place])
        if apart[place] > tolerance:
            findings.append(
                f"a shard of {size} rows changes {names[place]} otherwise than the same rows do on one "
                f"machine ({apart[place]:.1e} relative)"
            )
    merged = _apart(moved, _merge(about["merge"], changes, rows), floors)
    if max(merged) > tolerance:
        place = int(np.argmax(merged))
        findings.append(
            _merged_otherwise(
                about["merge"], names[place], merged[place], moved, changes, rows, floors, tolerance
            )
        )
    return Judged(
        verdict=Agreement.DIFFERENT if findings else Agreement.SAME,
        findings=tuple(findings),
        stated=tuple(about["arithmetic"]),
        merge=about["merge"],
        sizes=tuple(len(rows[partition]) for partition in partitions),
        skipped=skipped,
        shards=worst_shard,
        merged=max(merged),
    )


# How changes may be merged, in words.
_WAYS = {
    "sum": "their sum",
    "mean": "their mean",
    "mean of the trained": "the mean of those that trained, skipped shards not counted",
    "weighted mean": "their mean, each weighed by its rows",
}


def _merge(way: str, changes: Mapping[int, list[Array]], rows: Mapping[int, list[int]]) -> list[Array]:
    """The change of all weights."""
    sizes = {one: len(rows[one]) for one in changes}
    trained = [one for one in changes if any(change.any() for change in changes[one])]
    weights = {
        "sum": dict.fromkeys(changes, 1.0),
        "mean": dict.fromkeys(changes, 1.0 / len(changes)),
        "mean of the trained": dict.fromkeys(changes, 1.0 / max(1, len(trained))),
        "weighted mean": {one: size / sum(sizes.values()) for one, size in sizes.items()},
    }[way]
    return [
        np.sum([weights[one] * change for one, change in zip(changes, each, strict=True)], axis=0)
        for each in zip(*changes.values(), strict=True)
    ]


def _apart(found: list[Array], expected: list[Array], floors: list[float]) -> list[float]:
    """Relative differences by weight."""
    return [tolerances.difference(*each) for each in zip(found, expected, floors, strict=True)]


def _merged_otherwise(
    stated: str,
    where: str,
    size: float,
    moved: list[Array],
    changes: Mapping[int, list[Array]],
    rows: Mapping[int, list[int]],
    floors: list[float],
    tolerance: float,
) -> str:
    """The sentence for weights that are not what was stated, with the way that they are if one is known."""
    said = f"the weights did not change by {_WAYS[stated]} ({where}, {size:.1e} relative)"
    for way, words in _WAYS.items():
        if max(_apart(moved, _merge(way, changes, rows), floors)) <= tolerance:
            return f"{said}, but by {words}"
    return said


def _rows_amiss(shards: list[list[int]], num_rows: int) -> Iterable[str]:
    """What is wrong with who was given which rows."""
    given = [row for shard in shards for row in shard]
    if -1 in given:
        yield f"{given.count(-1)} rows arrived that nobody had sent"
    missing = set(range(num_rows)) - set(given)
    if missing:
        yield f"{len(missing)} of {num_rows} rows reached no shard"
    twice = len(given) - given.count(-1) - len(set(given) - {-1})
    if twice:
        yield f"{twice} rows reached more than one shard"
