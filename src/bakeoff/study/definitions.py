"""What a study is once its file has been found right; and the names that Bakeoff brings along."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from bakeoff import registry
from bakeoff_worker.job import TrialSettings


class DatasetSize(NamedTuple):
    """Images for training and testing, their shape (height, width, channels), and classes."""

    num_train: int
    num_test: int
    image_shape: tuple[int, int, int]
    num_classes: int = 10


# Sizes of the catalogue's data sets, so that a plan can be checked and estimated without them.
DATASETS: Mapping[str, DatasetSize] = {
    "mnist": DatasetSize(60_000, 10_000, (28, 28, 1)),
    "fashion_mnist": DatasetSize(60_000, 10_000, (28, 28, 1)),
    "cifar10": DatasetSize(50_000, 10_000, (32, 32, 3)),
}


@dataclass(frozen=True)
class EnvironmentRequest:
    """An environment that the study file brings: an interpreter, or a lock to make one from.

    python: interpreter that already has the framework (external). lock: requirements file, pinned
    and hashed; python_version: the Python it was locked for. One of python and lock is None.
    """

    name: str
    python: Path | None = None
    lock: Path | None = None
    python_version: str | None = None


@dataclass(frozen=True)
class Trial:
    """One configuration and its name for people.

    label: unique within the study, from what varies in it. axes: value of every key that varies,
    where it applies; ``contestant`` stands for backend and environment.
    """

    label: str
    settings: TrialSettings
    axes: Mapping[str, Any]

    @property
    def trial_id(self) -> str:
        """See `TrialSettings.trial_id`."""
        return self.settings.trial_id


@dataclass(frozen=True)
class Branch:
    """What follows if one value of the chosen axis turns out the better.

    compared: by trial_id of the study's trials that have the value, a name that they share with the
    trials that differ from them in that axis alone. trials: those that would run.
    """

    value: Any
    compared: Mapping[str, str]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class FollowUp:
    """Trials that run after all others, on that value of one axis which their results show to be the better.

    choose: the axis, a key of `Trial.axes`. changes: settings that the follow-up changes, flat.
    branches: one for each value, in the file's order.
    """

    choose: str
    changes: Mapping[str, Any]
    branches: tuple[Branch, ...]


# Settings that the format got after its first release: at these defaults they leave digests as they were.
LATER_SETTINGS: Mapping[str, Any] = {
    "entry": "",
    "handicap": 0.0,
    "keep_memory": False,
    "tf32": None,
    "keep_event_logs": "",
    "order": "sequential",
    "turn_steps": None,
    "from_logits": False,
    "weight_decay": 0.0,
    "clip_value": None,
    "clip_norm": None,
    "clip_global_norm": None,
    "label_smoothing": 0.0,
    "schedule": "constant",
    "schedule_options": {},
    "class_weights": None,
    "early_stopping": None,
    "gpu": 0,
    "contestant": "",
    "steps_per_execution": 1,
    "autotune_input": True,
    "equivalent_layers": False,
    "variables": None,
}
# Blocks before which a study that runs until decided decides nothing; `bakeoff.stats` has the reasons.
FEWEST_BLOCKS = 6


class Errors(StrEnum):
    """What answers whether the faster contestant's error is no worse.

    CERTIFIED: the runs, and where they leave it open, a certificate that both train the same thing. MEASURED:
    the runs alone.
    """

    CERTIFIED = "certified"
    MEASURED = "measured"


class Agreement(StrEnum):
    """Whether two contestants train the same thing, to within rounding, by verification.

    UNCERTIFIED: nobody verified it, so that there is no certificate.
    """

    SAME = "same"
    DIFFERENT = "different"
    NOT_COMPARED = "not compared"
    UNCERTIFIED = ""


@dataclass(frozen=True)
class Rules:
    """By what the study's contestants are compared: fixed before its first run, and stored with it.

    The fields of `bakeoff.stats.Rules`, `comparisons`: pairs of trial_ids that are to be decided, those of a
    follow-up's branches included, and `errors`: what else than runs may answer for their errors.
    """

    margin: float = 0.02
    error_margin: float = 0.0025
    confidence: float = 0.95
    is_sequential: bool = False
    num_comparisons: int = 1
    comparisons: tuple[tuple[str, str], ...] = ()
    errors: Errors = Errors.CERTIFIED


@dataclass(frozen=True)
class Budget:
    """When a study that runs until decided ends undecided. No part of what is asked: it may be raised later.

    max_blocks: of each trial. max_hours: of all its runs together, by their wall time; None: no limit.
    """

    max_blocks: int = 50
    max_hours: float | None = None


@dataclass(frozen=True)
class FarmRequest:
    """What a study's jobs ask of a resource manager. No part of what is compared.

    partition, account, gres, memory: in the manager's own words; empty: its default. time_min: minutes that a
    job may take; None: by the estimate, or the partition's default. cpus: of a job; None: its default.
    nodes: jobs that run at once; None: as many as the manager lets run. setup: lines of shell to run first.
    exclusive: whether nobody else may use a node meanwhile. staging: ``shared`` (nodes see this machine's
    cache folder) or ``packed`` (environments and data are unpacked to a node's own disk). folder: where jobs
    find their work, seen by all nodes; None: in the cache.
    """

    partition: str = ""
    account: str = ""
    time_min: int | None = None
    cpus: int | None = None
    memory: str = ""
    gres: str = ""
    nodes: int | None = None
    setup: tuple[str, ...] = ()
    exclusive: bool = True
    staging: str = "shared"
    folder: Path | None = None


@dataclass(frozen=True)
class Study:
    """Everything compared, complete and checked.

    repeats: re-executions of each trial; where blocks are added until all is decided, of trials that no
    comparison asks about. seed: decides order and every run's seed.
    environments: those that the file brings, by name. matrix_keys: keys of `Trial.axes`, in order.
    target_error: error, as a fraction, that counts as reached, by ``TrialSettings.dataset``.
    follow_up: what runs once all trials have, if anything.
    rules: by what contestants are compared. budget: how long that may take, where blocks are added until
    all of it is decided. farm: what jobs ask for, where the study runs through a resource manager.
    digest: 64 hex digits over all of this but budget and farm; changes whenever anything asked for does.
    """

    name: str
    title: str
    description: str
    repeats: int
    seed: int
    trials: tuple[Trial, ...]
    environments: Mapping[str, EnvironmentRequest]
    matrix_keys: tuple[str, ...]
    target_error: Mapping[str, float]
    digest: str
    follow_up: FollowUp | None = None
    rules: Rules = Rules()
    budget: Budget = Budget()
    farm: FarmRequest = FarmRequest()

    @property
    def compared(self) -> frozenset[str]:
        """Trials that blocks are added for until all is decided; none where their number is fixed."""
        pairs = self.rules.comparisons if self.rules.is_sequential else ()
        return frozenset(trial_id for pair in pairs for trial_id in pair)

    @property
    def all_trials(self) -> tuple[Trial, ...]:
        """Its own, then those of its follow-up's branches, which may have some of them in common."""
        branches = self.follow_up.branches if self.follow_up else ()
        return (*self.trials, *(trial for branch in branches for trial in branch.trials))

    def _repr_html_(self) -> str:
        trials = "".join(f"<li>{html.escape(trial.label)}</li>" for trial in self.trials)
        return f"<p>{html.escape(self.title)}: {self.repeats} repeats of each trial</p>\n<ul>{trials}</ul>"

    def document(self) -> dict[str, Any]:
        """The whole study in JSON's own types, less where it runs."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        del plain["farm"]
        return plain


def default_environment(backend: str, distribution: str = "single", device: str = "cpu") -> str | None:
    """The environment that serves a backend unless the study says otherwise.

    A backend without one for GPUs has its usual one: it says itself why it can't use them.
    """
    has_spark = distribution != "single"
    found = registry.environments_of(backend, has_spark=has_spark, device=device)
    return next(iter(found or registry.environments_of(backend, has_spark=has_spark)), None)


def contestant(backend: str, environment: str, environments: Collection[str] = ()) -> str:
    """A contestant's name anywhere: ``theano``, or ``theano (vintage)`` away from its own environment.

    On a cluster, and on GPUs, a backend has another environment of its own: it goes without saying where all
    of the study's trials of that backend run in it. environments: those that they run in.
    """
    usual = {default_environment(backend)}
    if set(environments) <= {environment}:
        usual |= {default_environment(backend, "elephas"), default_environment(backend, device="gpu")}
    if environment in usual:
        return backend
    return f"{backend} ({environment})"
