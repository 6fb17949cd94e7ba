"""Who is compared with whom: of a study's trials, those that should train the same thing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bakeoff import registry
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import OWN

# What makes another contestant of the same network, data and recipe.
_CONTESTANT = (
    *("backend", "contestant", "environment", "device", "jit", "precision", "data_layout"),
    *("deterministic", "variables", "equivalent_layers"),
)
# What a recipe may have beside optimizer and loss, as titles name it.
_RECIPE = (
    *("schedule", "weight_decay", "clip_value", "clip_norm", "clip_global_norm"),
    *("label_smoothing", "class_weights"),
)


@dataclass(frozen=True)
class Contestant:
    """What is verified once for all trials that share it. label: of the first of them; trial_ids: of all.

    is_distributed: whether some of them run on a cluster.
    """

    label: str
    settings: TrialSettings
    trial_ids: tuple[str, ...]
    is_distributed: bool = False

    @property
    def verified_id(self) -> str:
        """16 hex digits that name what is verified."""
        return self.settings.verified_id


@dataclass(frozen=True)
class Group:
    """Contestants of one network, data set and recipe. title: those in words."""

    title: str
    contestants: tuple[Contestant, ...]


def trains_a_network(contestant: Contestant) -> bool:
    """Whether there is anything to look into: a network."""
    brought = registry.backends().get(contestant.settings.backend)
    return brought is None or brought.record.has_network


def groups(trials: Iterable[tuple[str, TrialSettings]]) -> tuple[Group, ...]:
    """From labels and settings of trials, who is to be compared; contestants in the order of the trials."""
    found: dict[str, dict[str, Contestant]] = {}
    for label, settings in trials:
        small = settings.reduced()
        group = found.setdefault(_recipe(small), {})
        known = group.get(small.trial_id, Contestant(label, small, ()))
        group[small.trial_id] = dataclasses.replace(
            known,
            trial_ids=tuple(dict.fromkeys((*known.trial_ids, settings.trial_id))),
            is_distributed=known.is_distributed or settings.distribution != "single",
        )
    return tuple(Group(_title(group), tuple(group.values())) for group in found.values())


def _recipe(settings: TrialSettings) -> str:
    """What contestants of a group share."""
    shared = {key: value for key, value in dataclasses.asdict(settings).items() if key not in _CONTESTANT}
    shared["content"] = {key: value for key, value in settings.content.items() if key != "contestant"}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _title(group: Mapping[str, Contestant]) -> str:
    settings = next(iter(group.values())).settings
    options = (
        "".join(f", {key} {value}" for key, value in sorted({**settings.model_options}.items()))
        if settings.content.get("model")
        else ""
    )
    model, dataset = (value.rsplit("/", 1)[-1] for value in (settings.model, settings.dataset))
    rate = "" if settings.optimizer == OWN else f" at {settings.learning_rate:g}"
    recipe = f"{settings.optimizer}{rate}, {settings.loss}"
    if settings.optimizer == settings.loss == OWN:
        recipe = "its own optimizer and loss"
    asked = (key for key in _RECIPE if getattr(settings, key) != getattr(TrialSettings, key))
    recipe += "".join(f", {key.replace('_', ' ')} {getattr(settings, key)}" for key in asked)
    return f"{model}{options} on {dataset}, {recipe}"
