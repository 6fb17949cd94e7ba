"""What a study runs, in which order; what of it is missing; how long that may take. Pure functions."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol

from bakeoff.study import DATASETS, FEWEST_BLOCKS, Study, Trial
from bakeoff_worker.job import RunSpec, TrialSettings

# Settings that barely move a run's time, or (epochs, images) are scaled by; options count one by one.
_TIMELESS = (
    *("epochs", "train_images", "evaluation_images", "evaluation_split", "validation_fraction"),
    *("data_scale", "learning_rate", "time_limit_s", "dataset", "content", "distribution_options", "entry"),
    *("order", "turn_steps"),
)
_TIMED = tuple(field.name for field in fields(TrialSettings) if field.name not in _TIMELESS)

# How far off a prediction may be, as factors below and above it. Single runs on a shared machine
# vary by a tenth, twice that is common; scaling over images and epochs misses caches and warm-up; over
# other settings (another batch size, more filters) it is a guess. Our choice, meant to be wide.
_SPREAD: Mapping[str, tuple[float, float]] = {
    "measured": (0.8, 1.25),
    "scaled": (0.6, 1.6),
    "scaled from other settings": (0.3, 3.0),
}

Basis = Literal["measured", "scaled", "scaled from other settings", "unknown"]


class PastRun(Protocol):
    """What an earlier run that ended well tells about time; the store's history has such records.

    wall_s: from start to end of its process; None if that isn't known, which makes the run useless here.
    num_epochs: how many it trained; num_images, train_s, evaluation_s: totals over them.
    """

    @property
    def settings(self) -> TrialSettings: ...
    @property
    def wall_s(self) -> float | None: ...
    @property
    def num_epochs(self) -> int: ...
    @property
    def num_images(self) -> int: ...
    @property
    def train_s(self) -> float: ...
    @property
    def evaluation_s(self) -> float: ...


@dataclass(frozen=True)
class TrialEstimate:
    """Seconds that one run of a trial may take, between low_s and high_s; None where nothing is known.

    basis: ``measured`` (this very trial ran), ``scaled`` (by images and epochs, from the same backend,
    environment and model), ``scaled from other settings`` (the same, with other settings too), ``unknown``.
    num_runs: how many runs of it are planned.
    """

    trial_id: str
    label: str
    basis: Basis
    num_runs: int
    run_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Seconds for a plan, run one after another.

    total_s, low_s, high_s: of the runs that something is known about; None if nothing is known at
    all. trials: in the order of the plan. num_unknown: runs that the total leaves out.
    """

    total_s: float | None
    low_s: float | None
    high_s: float | None
    trials: tuple[TrialEstimate, ...]
    num_unknown: int

    @property
    def basis(self) -> Mapping[str, Basis]:
        """What each trial's figure rests on, by trial_id."""
        return {trial.trial_id: trial.basis for trial in self.trials}


def expand(study: Study) -> tuple[RunSpec, ...]:
    """Every run that a study asks for at its start, in order: block by block, each trial once, at random.

    Where blocks are added until all is decided, these are the blocks before which nothing is decided (of
    trials that no comparison asks about, as many as the study has repeats); `block` has those to come.

    Orders and seeds are digests of the study's seed, the repeat and (orders) the trial, not draws from a
    generator: the same everywhere, and unchanged when repeats are added; new trials slip in between
    the others, which keep their order.
    """
    return _blocks(study, study.trials)


def expand_follow_up(study: Study) -> tuple[tuple[RunSpec, ...], ...]:
    """For each branch of a study's follow-up, the runs that come after all others if its value is chosen.

    Ordered as `expand` does, with the same seeds. No branch without a follow-up.
    """
    branches = study.follow_up.branches if study.follow_up else ()
    return tuple(_blocks(study, branch.trials) for branch in branches)


def block(study: Study, trials: Iterable[Trial], repeat: int) -> tuple[RunSpec, ...]:
    """One block: a repeat of each of these trials, in the order that the block of all trials has.

    Contestants that take turns are together with those of their data set and model: who meets whom does so in
    the same minutes, and no more of them live at the same time.
    """

    def place(trial: Trial) -> tuple[str, str]:
        problem = trial.settings.problem if trial.settings.alternates else ""
        return _digest(study.seed, repeat, problem), _digest(study.seed, repeat, _asked(trial))

    shuffled = sorted(trials, key=place)
    return tuple(
        RunSpec(
            settings=trial.settings,
            label=trial.label,
            repeat=repeat,
            block=repeat,
            position=position,
            seed=run_seed(study.seed, repeat),
        )
        for position, trial in enumerate(shuffled)
    )


def _asked(trial: Trial) -> str:
    """A trial by what the study says of it: what its own files are found to be changes no planned order."""
    return replace(trial.settings, content={}).trial_id


def num_runs(study: Study) -> int:
    """How many runs `expand` has, with the largest that the follow-up may be."""
    return len(expand(study)) + max(map(len, expand_follow_up(study)), default=0)


def most_runs(study: Study) -> tuple[RunSpec, ...]:
    """The runs of the study proper if nothing is decided before its budget of blocks is spent."""
    return _blocks(study, study.trials, study.budget.max_blocks)


def _blocks(study: Study, trials: Sequence[Trial], fewest: int = FEWEST_BLOCKS) -> tuple[RunSpec, ...]:
    compared = study.compared
    num_blocks = {trial.trial_id: fewest if trial.trial_id in compared else study.repeats for trial in trials}
    return tuple(
        spec
        for repeat in range(max(num_blocks.values(), default=0))
        for spec in block(study, [trial for trial in trials if repeat < num_blocks[trial.trial_id]], repeat)
    )


def run_seed(study_seed: int, repeat: int) -> int:
    """The seed of all runs of a repeat, 31 bits: what every framework's generator accepts."""
    return int(_digest(study_seed, repeat)[:8], 16) & 0x7FFF_FFFF


def missing(specs: Sequence[RunSpec], done: Collection[tuple[str, int]]) -> tuple[RunSpec, ...]:
    """The runs that are not among `done`, (trial_id, repeat) pairs, in their order."""
    finished = frozenset(done)
    return tuple(spec for spec in specs if (spec.trial_id, spec.repeat) not in finished)


def estimate(specs: Sequence[RunSpec], history: Sequence[PastRun]) -> Estimate:
    """Seconds that these runs may take one after another, from earlier runs on this machine.

    A trial that has run before is expected to take its median again. Otherwise the nearest earlier
    runs of the same backend, environment, device and model on like images, on one machine or on the
    same cluster, are scaled: start-up as it was, the rest by images and epochs. Where there are none,
    nothing is claimed.
    """
    by_trial: dict[str, list[RunSpec]] = {}
    for spec in specs:
        by_trial.setdefault(spec.trial_id, []).append(spec)
    useful = [_Past(past, past.wall_s) for past in history if past.wall_s is not None and past.num_images > 0]
    past_by_trial: dict[str, list[_Past]] = {}
    for past in useful:
        past_by_trial.setdefault(past.run.settings.trial_id, []).append(past)
    trials = tuple(
        _estimate_trial(trial_id, runs, past_by_trial.get(trial_id, ()), useful)
        for trial_id, runs in by_trial.items()
    )
    known = [trial for trial in trials if trial.run_s is not None]
    return Estimate(
        total_s=_total(known, "run_s"),
        low_s=_total(known, "low_s"),
        high_s=_total(known, "high_s"),
        trials=trials,
        num_unknown=sum(trial.num_runs for trial in trials if trial.run_s is None),
    )


def side_by_side(one_by_one: Estimate, num_blocks: int, at_once: int) -> Estimate:
    """The same runs, so many blocks at once, each on a node of its own: as long as the most blocks of a node.

    Blocks are taken to be of equal length; waiting for a node is not in it.
    """
    share = -(-num_blocks // at_once) / num_blocks if num_blocks else 1.0
    times = (one_by_one.total_s, one_by_one.low_s, one_by_one.high_s)
    total_s, low_s, high_s = (None if time is None else share * time for time in times)
    return replace(one_by_one, total_s=total_s, low_s=low_s, high_s=high_s)


@dataclass(frozen=True)
class _Past:
    """An earlier run whose wall_s is known."""

    run: PastRun
    wall_s: float

    def predicted_s(self, num_image_epochs: int) -> float:
        """Wall seconds of a run like this one: the same start-up, the epochs by the images in them."""
        epochs_s = self.run.train_s + self.run.evaluation_s
        return max(self.wall_s - epochs_s, 0.0) + epochs_s / self.run.num_images * num_image_epochs


def _estimate_trial(
    trial_id: str, runs: Sequence[RunSpec], same: Sequence[_Past], history: Sequence[_Past]
) -> TrialEstimate:
    settings = runs[0].settings
    times, basis = _predictions(settings, same, history)
    if basis == "unknown":
        return TrialEstimate(trial_id, runs[0].label, basis, len(runs))
    below, above = _SPREAD[basis]
    limit_s = settings.time_limit_s or float("inf")
    # Of an even number the lower one: no mean of a run that compiled and one that found it compiled.
    run_s, low_s, high_s = statistics.median_low(times), min(times) * below, max(times) * above
    return TrialEstimate(
        trial_id,
        runs[0].label,
        basis,
        len(runs),
        run_s=min(run_s, limit_s),
        low_s=min(low_s, limit_s),
        high_s=min(high_s, limit_s),
    )


def _predictions(
    settings: TrialSettings, same: Sequence[_Past], history: Sequence[_Past]
) -> tuple[list[float], Basis]:
    """Seconds for one run, by each of the earlier runs that are nearest, and how near they are."""
    if same:
        return [past.wall_s for past in same], "measured"
    num_images = _num_images(settings, history)
    like = [past for past in history if _alike(past.run.settings, settings)]
    if num_images is None or not like:
        return [], "unknown"
    distances = [_num_differences(past.run.settings, settings) for past in like]
    nearest = [past for past, far in zip(like, distances, strict=True) if far == min(distances)]
    times = [past.predicted_s(num_images * settings.epochs) for past in nearest]
    return times, "scaled from other settings" if min(distances) else "scaled"


def _alike(past: TrialSettings, asked: TrialSettings) -> bool:
    """Whether one run's time says something about the other's."""
    keys = ("backend", "environment", "device", "model", "distribution")
    return (
        all(getattr(past, key) == getattr(asked, key) for key in keys)
        and past.distribution_options.get("master") == asked.distribution_options.get("master")
        and past.content.get("model") == asked.content.get("model")
        and _images(past) == _images(asked)
    )


def _images(settings: TrialSettings) -> Any:
    """Data sets with equal values have images of one size and kind: MNIST and Fashion-MNIST do."""
    size = DATASETS.get(settings.dataset)
    kind = size.image_shape if size else settings.content.get("dataset", settings.dataset)
    return kind, settings.image_size


def _num_differences(past: TrialSettings, asked: TrialSettings) -> int:
    ours, theirs = asked.distribution_options, past.distribution_options
    settings = [key for key in _TIMED if getattr(past, key) != getattr(asked, key)]
    options = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
    return len(settings) + len(options)


def _num_images(settings: TrialSettings, history: Sequence[_Past]) -> int | None:
    """Images trained per epoch; for the user's own data, as many as in an earlier run on all of them."""
    if settings.train_images is not None:
        return settings.train_images  # of the scaled set: it counts copies, too
    held_out = settings.validation_fraction if settings.evaluation_split == "validation" else 0.0
    size = DATASETS.get(settings.dataset)
    if size:
        return (size.num_train - round(size.num_train * held_out)) * settings.data_scale
    once = next(
        (
            past.run.num_images // (past.run.settings.epochs * past.run.settings.data_scale)
            for past in history
            if past.run.settings.train_images is None
            and past.run.settings.content.get("dataset") == settings.content.get("dataset")
        ),
        None,
    )
    return None if once is None else once * settings.data_scale


def _total(known: Sequence[TrialEstimate], field: str) -> float | None:
    return sum(getattr(trial, field) * trial.num_runs for trial in known) if known else None


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()
