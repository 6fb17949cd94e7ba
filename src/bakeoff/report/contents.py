"""What a report says, before it is drawn or written: sections, races, comparisons, troubles."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats
from bakeoff.races.frames import (
    MARK,
    Frames,
    Selection,
    backend_rank,
    distributed,
    marked,
    plain,
    select,
    short_of_samples,
)

FAILED = ("failed", "timeout", "out_of_memory", "killed", "garbage")

# Settings that are no sweep axis: they make a section, name a contestant, or change nothing measured.
_NO_AXES = frozenset({"content", "time_limit_s"})
_OPTION_TABLES = frozenset({"model_options", "optimizer_options", "distribution_options"})
_SEPARATOR = " · "


@dataclass(frozen=True)
class Contestant:
    """One trial in a report.

    name: for people, unique in its section; it ends with a dagger where samples were silently skipped.
    short: the same, without what its race says already. axes: its values of the section's swept settings.
    """

    trial_id: str
    name: str
    short: str
    backend: str
    environment: str
    axes: Mapping[str, Any]

    @property
    def is_short(self) -> bool:
        """Whether some run of it trained fewer samples than it was asked to."""
        return self.name.endswith(MARK)


@dataclass(frozen=True)
class Comparison:
    """Two contestants of one race, the faster first where that is known.

    time: ratio of training times, first to second. error: difference of final errors, first minus second.
    """

    first: Contestant
    second: Contestant
    time: stats.Ratio
    error: stats.Difference


@dataclass(frozen=True)
class Race:
    """Contestants that solve the same problem under the same settings.

    setting: what distinguishes this race from the section's others, for people; empty if there is only one.
    """

    setting: str
    contestants: tuple[Contestant, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Section:
    """One data set and model.

    title: the data set's name, with the model's where a study has several. races: the main one first:
    it gets the figures over epochs. axes: by setting that is swept, its values in order. runs, epochs:
    of all races, runs that ended well under the chosen conditions, with a column `contestant`; runs
    also with `cache`: the compile cache was ``cold`` or ``warm``, null where there is none. attempts:
    every run under these conditions, however it ended.
    """

    title: str
    races: tuple[Race, ...]
    axes: Mapping[str, tuple[Any, ...]]
    runs: pl.DataFrame
    epochs: pl.DataFrame
    attempts: pl.DataFrame

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Those of all races."""
        return tuple(contestant for race in self.races for contestant in race.contestants)

    def runs_of(self, race: Race) -> pl.DataFrame:
        """The race's runs that ended well, `contestant` in its short form."""
        return _of(self.runs, race.contestants)

    def epochs_of(self, race: Race) -> pl.DataFrame:
        """The race's epochs, of runs that ended well, `contestant` in its short form."""
        return _of(self.epochs, race.contestants)

    def swept(self, axis: str) -> tuple[Contestant, ...]:
        """Contestants that differ from the main race in `axis` alone, the main race's included."""
        main = self.races[0].contestants
        if not main:
            return ()
        if len(self.races) == 1:  # the contestants themselves are the sweep
            common = {key: _commonest([c.axes.get(key) for c in main]) for key in self.axes}
            candidates = main
        else:
            common = dict(main[0].axes)
            candidates = self.contestants
        return tuple(
            contestant
            for contestant in candidates
            if all(contestant.axes.get(key) == common[key] for key in self.axes if key != axis)
        )


@dataclass(frozen=True)
class Contents:
    """Everything that a report of one study says; `Frames` beside it hold the raw rows.

    notes: findings that a reader should know, one sentence each.
    """

    frames: Frames
    selection: Selection
    sections: tuple[Section, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The study's title, or its name."""
        return self.frames.title or self.frames.study or "Bakeoff report"


def compose(frames: Frames) -> Contents:
    """Arrange a study's frames into what a report says of them."""
    if not len(frames.runs):
        return Contents(frames, Selection(frames.runs, frames.runs, frames.runs), (), ())
    selection = select(frames.runs)
    titles = _titles(selection.chosen)
    sections = []
    for (dataset, model), attempts in selection.chosen.group_by(["dataset", "model"], maintain_order=True):
        title = titles[str(dataset), str(model)]
        sections.append(_section(title, str(dataset), str(model), attempts, selection, frames))
    return Contents(frames, selection, tuple(sections), _notes(tuple(sections), frames))


def error_table(epochs: pl.DataFrame, column: str = "validation_error") -> NDArray[np.float64]:
    """Values of one contestant's runs; shape (num_repeats, num_epochs), NaN where a run has no such epoch."""
    if not len(epochs):
        return np.empty((0, 0))
    wide = epochs.pivot("epoch", index="run_id", values=column).drop("run_id")
    order = sorted(wide.columns, key=int)
    return wide.select(order).to_numpy().astype(float)


def _titles(runs: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By data set and model, what their section is called; files by their names, as long as these differ."""
    pairs = list(runs.select("dataset", "model").unique(maintain_order=True).iter_rows())
    several = len({dataset for dataset, _ in pairs}) < len(pairs)
    for name in (_stem, str):
        titles = {
            (dataset, model): name(dataset) + (f"{_SEPARATOR}{name(model)}" if several else "")
            for dataset, model in pairs
        }
        if len(set(titles.values())) == len(titles):
            break
    return titles


def _stem(name: str) -> str:
    """A file's name without folder and suffix; other names as they are."""
    return PurePath(name).stem or name


def _section(
    title: str,
    dataset: str,
    model: str,
    attempts: pl.DataFrame,
    selection: Selection,
    frames: Frames,
) -> Section:
    first = attempts.unique("trial_id", keep="first", maintain_order=True)
    rows = sorted(first.iter_rows(named=True), key=lambda row: (backend_rank(row["backend"]), row["label"]))
    ok = selection.ok.join(first.select("trial_id"), on="trial_id", how="semi", maintain_order="left")
    observed = observed_of(frames.facts, ok.select("run_id"))
    seen = {
        trial_id: observed.get(run_id, {}) for run_id, trial_id in ok.select("run_id", "trial_id").iter_rows()
    }
    settings = {row["trial_id"]: as_computed(flat(row), seen.get(row["trial_id"], {})) for row in rows}
    axes = _axes([(f"{row['backend']} {row['environment']}", settings[row["trial_id"]]) for row in rows])
    drop = {dataset, model, _stem(dataset), _stem(model)}
    names = _names([(row["trial_id"], row["label"]) for row in rows], drop)
    short = set(short_of_samples(attempts)["trial_id"])
    names = {trial_id: marked(name, trial_id in short) for trial_id, name in names.items()}
    contestants = [
        Contestant(
            trial_id=row["trial_id"],
            name=names[row["trial_id"]],
            short=names[row["trial_id"]],
            backend=row["backend"],
            environment=row["environment"],
            axes={key: settings[row["trial_id"]].get(key) for key in axes},
        )
        for row in rows
    ]
    naming = pl.DataFrame(
        {"trial_id": list(names), "contestant": list(names.values())},
        schema={"trial_id": pl.String, "contestant": pl.String},
    )
    ok = ok.join(naming, on="trial_id", maintain_order="left")
    good = ok.select("run_id", "contestant")
    cache = [observed.get(run_id, {}).get("compile_cache") for run_id in ok["run_id"]]
    ok = ok.with_columns(cache=pl.Series(cache, dtype=pl.String))
    epochs = frames.epochs.join(good, on="run_id", maintain_order="left")
    num_images = {
        name: observed.get(run_id, {}).get("num_evaluation_images") for run_id, name in good.iter_rows()
    }
    return Section(
        title=title,
        races=tuple(_races(contestants, axes, ok, num_images)),
        axes=axes,
        runs=ok,
        epochs=epochs,
        attempts=attempts.join(naming, on="trial_id", maintain_order="left"),
    )


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings, tables opened: ``model_options.filters``."""
    found: dict[str, Any] = {}
    for column, value in row.items():
        name = column.removeprefix("settings.")
        if name == column or name in _NO_AXES:
            continue
        if name in _OPTION_TABLES and value:
            found |= {f"{name}.{key}": item for key, item in json.loads(value).items()}
        else:
            found[name] = value
    return found


def as_computed(settings: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by what they computed, so that those who did the same can be compared.

    Elephas averages by itself since its release 2, in synchronous mode, what an older one averages only
    with the published correction.
    """
    found = dict(settings)
    major = str((observed.get("elephas") or {}).get("version", "")).partition(".")[0]
    synchronous = settings.get("distribution_options.mode") == "synchronous"
    if synchronous and major.isdecimal() and int(major) >= 2:
        found["distribution_options.merge"] = "averaged"
    return found


def _axes(trials: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[Any, ...]]:
    """Settings of which some backend has several values; what differs between backends only names them."""
    keys = sorted({key for _, one in trials for key in one} - _OPTION_TABLES)
    found = {}
    for key in keys:
        by_backend: dict[str, set[str]] = {}
        for backend, one in trials:
            if _applies(key, one):
                by_backend.setdefault(backend, set()).add(json.dumps(one.get(key)))
        if any(len(values) > 1 for values in by_backend.values()):
            values = {json.dumps(one.get(key)): one.get(key) for _, one in trials}
            found[key] = tuple(sorted(values.values(), key=_rank))
    return found


def _applies(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting means anything beside the others: a layout does on a cluster only."""
    if key == "global_batch_size":
        return bool(settings.get("distribution", "single") == "single")
    return not key.startswith("distribution_options.") or key in settings


def _rank(value: Any) -> tuple[int, Any]:
    """Order of axis values: unset, then numbers and lists of numbers, then text."""
    if value is None:
        return (0, 0)
    if isinstance(value, (bool, int, float)):
        return (1, value)
    if isinstance(value, list) and all(isinstance(item, (int, float)) for item in value):
        return (2, value)
    return (3, plain(value))


def _names(labels: Sequence[tuple[str, str]], drop: set[str]) -> dict[str, str]:
    """Labels without the parts that a section's title says already, as long as they stay unique."""
    full = dict(labels)
    short = {
        trial_id: _SEPARATOR.join(part for part in label.split(_SEPARATOR) if part not in drop) or label
        for trial_id, label in labels
    }
    return short if len(set(short.values())) == len(short) else full


def _races(
    contestants: Sequence[Contestant],
    axes: Mapping[str, tuple[Any, ...]],
    runs: pl.DataFrame,
    num_images: Mapping[str, int | None],
) -> list[Race]:
    """Contestants with equal settings race each other; the race with the most common settings comes first.

    Where no two have equal settings (one backend under several), all of them race. But one machine and
    a cluster never do: what their training times include differs, so that `cluster` compares them.
    """
    groups: dict[str, list[Contestant]] = {}
    for contestant in contestants:
        groups.setdefault(json.dumps([contestant.axes[key] for key in axes]), []).append(contestant)
    if len(groups) == len(contestants):
        groups = {}
        for contestant in contestants:
            groups.setdefault(str(contestant.axes.get("distribution")), []).append(contestant)
    if len(groups) > 1:
        common = {key: _commonest([c.axes.get(key) for c in contestants]) for key in axes}
        shared = {
            name: sum(members[0].axes[key] == common[key] for key in axes) for name, members in groups.items()
        }
        places = {
            name: [list(axes[key]).index(members[0].axes[key]) for key in axes]
            for name, members in groups.items()
        }
        groups = dict(
            sorted(groups.items(), key=lambda item: (-shared[item[0]], -len(item[1]), places[item[0]]))
        )
    by_trial = {one.trial_id: runs.filter(trial_id=one.trial_id) for one in contestants}
    races = []
    for members in groups.values():
        if len(groups) > 1:
            members = _shortened(members)
        setting = ", ".join(
            f"{_axis_name(key)} {plain(members[0].axes[key])}" for key in axes if _common(key, members)
        )
        races.append(
            Race(
                setting=setting if len(groups) > 1 else "",
                contestants=tuple(members),
                comparisons=_ranked(
                    [_compare(a, b, by_trial, num_images) for a, b in itertools.combinations(members, 2)]
                ),
            )
        )
    return races


def _common(key: str, members: Sequence[Contestant]) -> bool:
    """Whether an axis says something of a race as a whole."""
    values = [one.axes[key] for one in members]
    if key.startswith("distribution_options."):
        return None not in values and all(value == values[0] for value in values)
    if key == "global_batch_size" and members[0].axes.get("distribution", "single") != "single":
        return False
    return all(value == values[0] for value in values)


def line_name(contestant: Contestant) -> str:
    """The backend, with its environment where the label says so, and with the dagger."""
    long = f"{contestant.backend} ({contestant.environment})"
    return marked(long if long in contestant.name else contestant.backend, contestant.is_short)


def _shortened(members: Sequence[Contestant]) -> list[Contestant]:
    """Members of a race with their backends for short names, if those tell them apart."""
    if len({line_name(one) for one in members}) < len(members):
        return list(members)
    return [replace(one, short=line_name(one)) for one in members]


def _ranked(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Those that the fastest contestant wins come first, close ones before clear ones."""
    wins = Counter(one.first.trial_id for one in comparisons if one.time.ratio is not None)
    return tuple(
        sorted(
            comparisons,
            key=lambda one: (one.time.ratio is None, -wins[one.first.trial_id], -(one.time.ratio or 0.0)),
        )
    )


def _axis_name(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def _commonest(values: Sequence[Any]) -> Any:
    counts = Counter(json.dumps(value) for value in values)
    return json.loads(counts.most_common(1)[0][0])


def _compare(
    a: Contestant,
    b: Contestant,
    by_trial: Mapping[str, pl.DataFrame],
    num_images: Mapping[str, int | None],
) -> Comparison:
    def paired(column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        of_a, of_b = by_block(by_trial[a.trial_id], column), by_block(by_trial[b.trial_id], column)
        return stats.pair(of_a[0], of_a[1], of_b[0], of_b[1])

    time = stats.paired_ratio(*paired("train_s"))
    images = num_images.get(a.name), num_images.get(b.name)
    error = stats.paired_difference(
        *paired("final_validation_error"), images[0] if images[0] == images[1] else None
    )
    if time.ratio is not None and time.ratio > 1:
        return Comparison(b, a, time.inverse, error.inverse)
    return Comparison(a, b, time, error)


def by_block(runs: pl.DataFrame, column: str) -> tuple[list[int], list[float]]:
    """Blocks and values of one contestant's runs; the last one counts where a block was run again."""
    values = (float("nan") if value is None else float(value) for value in runs[column])
    last = dict(zip(runs["block"].to_list(), values, strict=True))
    return list(last), list(last.values())


def _of(frame: pl.DataFrame, contestants: Sequence[Contestant]) -> pl.DataFrame:
    names = {one.name: one.short for one in contestants}
    mine = frame.filter(pl.col("contestant").is_in(list(names)))
    return mine.with_columns(pl.col("contestant").replace(names))


def observed_of(facts: pl.DataFrame, runs: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """By run, what was seen to run."""
    if not len(facts):
        return {}
    mine = facts.join(runs, on="run_id", how="semi").select("run_id", "observed")
    return {run_id: parsed(text) for run_id, text in mine.iter_rows()}


def parsed(text: str | None) -> dict[str, Any]:
    """A JSON object that the store keeps as text; empty if there is none."""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


# ---- notes --------------------------------------------------------------------------------------


def _notes(sections: Sequence[Section], frames: Frames) -> tuple[str, ...]:
    notes = []
    ran = [len(distributed(section.runs)) for section in sections if len(section.runs)]
    if ran:
        notes.append(
            "Within a repeat all contestants start from the same weights and see the same batches in the "
            "same order; dropout draws from each backend's own generator, so that errors agree in "
            "distribution, not digit by digit."
            + (" On a cluster each shard has batches of its own." if any(ran) else "")
        )
    notes += [note for section in sections for note in (*_weights(section, frames), *_epoch_notes(section))]
    return tuple(notes)


def _weights(section: Section, frames: Frames) -> list[str]:
    """Repeats in which contestants of one race did not start from the same weights."""
    if not len(frames.facts):
        return []
    found = []
    for race in section.races:
        runs = section.runs_of(race).select("run_id", "repeat", "contestant")
        digests: dict[int, set[str]] = {}
        for repeat, observed in frames.facts.join(runs, on="run_id").select("repeat", "observed").iter_rows():
            if digest := parsed(observed).get("initial_weights_sha256"):
                digests.setdefault(repeat, set()).add(str(digest))
        differing = sorted(repeat for repeat, found_digests in digests.items() if len(found_digests) > 1)
        if differing:
            where = f"{section.title}, {race.setting}" if race.setting else section.title
            found.append(
                f"On {where} contestants started from different weights in repeats "
                f"{', '.join(map(str, differing))}: compare their errors with care."
            )
    return found


def _epoch_notes(section: Section) -> list[str]:
    """What the epochs of the main race show: two-valued times, warm-up, numbers that are none."""
    found = []
    spread = set(distributed(section.runs)["trial_id"])
    for contestant in section.races[0].contestants:
        epochs = section.epochs.filter(contestant=contestant.name)
        if not len(epochs):
            continue
        times = error_table(epochs, "train_s")
        of_fit = contestant.backend == "tensorflow" and contestant.trial_id not in spread
        if of_fit and (levels := stats.two_valued(times)):
            found.append(
                f"On {section.title} {contestant.name}'s epochs take one of two times, about "
                f"{levels[0]:.3g} s or {levels[1]:.3g} s, in random order: under fit the end of an epoch "
                "waits for tf.data's autotuner to wake. Users get this, so it is in the figures."
            )
        warm_up = stats.warm_up_epochs(times)
        if warm_up:
            plural = "epoch is" if warm_up == 1 else f"{warm_up} epochs are"
            found.append(
                f"On {section.title} {contestant.name}'s first {plural} slower than the later ones "
                "(warm-up); training times include them."
            )
        strange = epochs.filter(~pl.col("validation_loss").is_finite())["run_id"].n_unique()
        if strange:
            found.append(
                f"On {section.title} {contestant.name} has {strange} run{'s' if strange > 1 else ''} "
                "with a validation loss that is no finite number."
            )
    return found
