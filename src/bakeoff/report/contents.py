"""What a report says, before it is drawn or written: a study's sections, races and troubles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import races, stats
from bakeoff.calibration import percent
from bakeoff.metrics import METRICS
from bakeoff.races.definitions import Contestant
from bakeoff.races.frames import Frames, Selection, distributed, parsed, select
from bakeoff.races.sections import Section, error_table

# Of a contestant's CPU time; a share that keeping memory is worth a try for. Our choice.
_MUCH_SYSTEM_TIME = 0.1
FAILED = ("failed", "timeout", "out_of_memory", "killed", "garbage")


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
    def contestants(self) -> tuple[Contestant, ...]:
        """Those of all sections."""
        return tuple(contestant for section in self.sections for contestant in section.contestants)

    @property
    def title(self) -> str:
        """The study's title, or its name."""
        return self.frames.title or self.frames.study or "Bakeoff report"


def compose(frames: Frames) -> Contents:
    """Arrange a study's frames into what a report says of them."""
    if not len(frames.runs):
        return Contents(frames, Selection(frames.runs, frames.runs, frames.runs), (), ())
    selection = select(frames.runs)
    sections = races.compose(frames, selection=selection)
    return Contents(frames, selection, sections, _notes(sections, frames))


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
    for section in sections:
        notes += [
            *_first_images(section),
            *(
                f"On {where} contestants started from different weights in repeats "
                f"{', '.join(map(str, repeats))}: compare their errors with care."
                for where, repeats in unequal_weights(section, frames)
            ),
            *_epoch_notes(section),
        ]
    return (*notes, *_system_time(sections))


def _first_images(section: Section) -> list[str]:
    """That errors were measured on the first images of the data set, and not on a random subset."""
    column = "settings.evaluation_images"
    if column not in section.runs.columns or "measurement_version" not in section.runs.columns:
        return []
    old = section.runs.filter(pl.col(column).is_not_null() & (pl.col("measurement_version") < 2))
    if not len(old):
        return []
    numbers = ", ".join(f"{number:,}" for number in sorted(old[column].unique()))
    return [
        f"On {section.title} errors were measured on the first {numbers} images of the split, as measurement "
        "version 1 did: of data sorted by class these are a class or two. Run the study again for a random "
        "subset with all classes."
    ]


def unequal_weights(section: Section, frames: Frames) -> list[tuple[str, list[int]]]:
    """Repeats in which contestants of one race did not start from the same weights, and where."""
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
            found.append((section.place_of(race), differing))
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
                f"On {section.title} {contestant.name}'s epochs take one of two times, about {levels[0]:.3g} "
                f"s or {levels[1]:.3g} s, in random order: under fit the end of an epoch waits for tf.data's "
                "tuner to wake, which it does 1.3, 2.6, 5.1, 10.2, 20.5 and 41 s after its start. Users get "
                "this, so it is in the figures; autotune_input = false does without."
            )
        found += _warm_up(f"On {section.title} {contestant.name}", times)
        strange = epochs.filter(~pl.col("validation_loss").is_finite())["run_id"].n_unique()
        if strange:
            found.append(
                f"On {section.title} {contestant.name} has {strange} run{'s' if strange > 1 else ''} with a "
                "validation loss that is no finite number."
            )
    return found


def _system_time(sections: Sequence[Section]) -> list[str]:
    """Who spends much of its training in the system, and what helps."""
    found = []
    for section in sections:
        spread = set(distributed(section.runs)["trial_id"])
        for contestant in section.races[0].contestants:
            if contestant.trial_id in spread or contestant.asked.get("keep_memory"):
                continue
            epochs = section.epochs.filter(contestant=contestant.name)
            user, system = (float(epochs[of].drop_nulls().to_numpy().sum()) for of in ("user_s", "system_s"))
            if system and system >= _MUCH_SYSTEM_TIME * (user + system):
                found.append(f"{contestant.name} on {section.title} {percent(system / (user + system))}")
    if not found:
        return []
    return [
        f"Of their CPU time, these spend much in the system: {', '.join(found)}. That is for memory that is "
        "given back and got anew in every step, or for threads that wake each other. If it is the C library "
        "that gives memory back, keep_memory = true makes it faster and steadier."
    ]


def _warm_up(who: str, times: NDArray[np.float64]) -> list[str]:
    """How many leading epochs are slower, and what they cost, as the median run has it."""
    runs = [warm_up for warm_up in map(stats.warm_up, times) if warm_up is not None]
    if not runs:
        return []
    num = int(np.median([run.num_epochs for run in runs]))
    said = []
    if num:
        excess = METRICS["train_s"].text(float(np.median([run.excess_s for run in runs])))
        epochs = "epoch is" if num == 1 else f"{num} epochs are"
        said.append(
            f"{who}'s first {epochs} slower than the later ones (warm-up), which costs {excess} s a run; "
            "training times include it."
        )
    unsteady = sum(not run.is_steady for run in runs)
    if 2 * unsteady > len(runs):
        said.append(f"{who}'s epochs do not become steady in {unsteady} of {len(runs)} runs.")
    return said
