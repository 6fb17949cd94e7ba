"""Who is compared with whom: of a study's trials, those that should train the same thing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff_worker.records import TrialSettings

# A few images a batch: enough to meet every layer's every branch, and cheap in double precision.
BATCH_SIZE = 8
# What makes another contestant of the same network, data and recipe.
_CONTESTANT = ("backend", "environment", "device", "jit", "precision", "data_layout", "deterministic")
# What neither the network nor a step of it depends on.
_NO_MATTER: Mapping[str, Any] = {
    "train_images": None,
    "evaluation_images": None,
    "evaluation_split": "test",
    "validation_fraction": 0.1,
    "epochs": 1,
    "threads": None,
    "pin_cpus": False,
    "time_limit_s": None,
    "data_scale": 1,
    "distribution": "single",
    "distribution_options": {},
}


@dataclass(frozen=True)
class Contestant:
    """What is verified once for all trials that share it. label: of the first of them; trial_ids: of all."""

    label: str
    settings: TrialSettings
    trial_ids: tuple[str, ...]

    @property
    def subject(self) -> str:
        """16 hex digits that name what is verified."""
        return subject(self.settings)


@dataclass(frozen=True)
class Group:
    """Contestants of one network, data set and recipe. title: those in words."""

    title: str
    contestants: tuple[Contestant, ...]


def reduced(settings: TrialSettings) -> TrialSettings:
    """The settings as they are verified: whatever doesn't matter for it at its default."""
    return dataclasses.replace(
        settings, **_NO_MATTER, global_batch_size=min(BATCH_SIZE, settings.global_batch_size)
    )


def subject(settings: TrialSettings) -> str:
    """16 hex digits that trials share if one verification serves them."""
    return reduced(settings).trial_id


def groups(trials: Iterable[tuple[str, TrialSettings]]) -> tuple[Group, ...]:
    """From labels and settings of trials, who is to be compared; contestants in the order of the trials."""
    found: dict[str, dict[str, Contestant]] = {}
    for label, settings in trials:
        small = reduced(settings)
        group = found.setdefault(_recipe(small), {})
        known = group.get(small.trial_id)
        if known is None:
            group[small.trial_id] = Contestant(label, small, (settings.trial_id,))
        elif settings.trial_id not in known.trial_ids:
            trial_ids = (*known.trial_ids, settings.trial_id)
            group[small.trial_id] = dataclasses.replace(known, trial_ids=trial_ids)
    return tuple(Group(_title(group), tuple(group.values())) for group in found.values())


def _recipe(settings: TrialSettings) -> str:
    """What contestants of a group share."""
    shared = {key: value for key, value in dataclasses.asdict(settings).items() if key not in _CONTESTANT}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _title(group: Mapping[str, Contestant]) -> str:
    settings = next(iter(group.values())).settings
    options = (
        "".join(f", {key} {value}" for key, value in sorted({**settings.model_options}.items()))
        if settings.content.get("model")
        else ""
    )
    model, dataset = (value.rsplit("/", 1)[-1] for value in (settings.model, settings.dataset))
    recipe = f"{settings.optimizer} at {settings.learning_rate:g}, {settings.loss}"
    return f"{model}{options} on {dataset}, {recipe}"
