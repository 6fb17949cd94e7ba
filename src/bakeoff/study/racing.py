"""Who races whom, and who may be compared: one rule for plans, the stopping rule and reports. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from bakeoff import registry
from bakeoff.study.words import OPTION_TABLES, key_name, text
from bakeoff_worker.distribution.catalogue import merging, slots

# Name a contestant or its problem, or change nothing that is measured.
_NO_AXES = frozenset(
    {
        *("backend", "contestant", "environment", "entry", "handicap", "dataset", "model", "content"),
        *("time_limit_s", "keep_event_logs", "order", "turn_steps"),
    }
)
# Settings of how a backend is to run, and the default that leaves it as its users get it. The device is none
# of them: it says on what, not how.
USUAL: Mapping[str, Any] = {
    "threads": None,
    "pin_cpus": False,
    "keep_memory": False,
    "jit": None,
    "precision": "float32",
    "data_layout": "channels_last",
    "deterministic": False,
    "tf32": None,
    "steps_per_execution": 1,
    "autotune_input": True,
    "equivalent_layers": False,
    "variables": None,
}
# Settings that say how much is to be computed: times of different work are no times to compare. Another
# network is other work, too, but which of two networks takes less time is a question about one backend.
_WORK: Mapping[str, str] = {
    "epochs": "epochs",
    "train_images": "training images",
    "data_scale": "data scale",
    "image_size": "image size",
}
# Settings of what is trained that a certificate doesn't look at: it follows a few steps on a few images.
_BEYOND_A_STEP = (
    *("global_batch_size", "train_images", "validation_fraction", "epochs", "data_scale", "early_stopping"),
    *(
        f"distribution_options.{key}"
        for key in ("mode", "frequency", "merge", "rounds", "batch_size_per_task")
    ),
)
_NAMES: Mapping[str, str] = {
    "pin_cpus": "pinning of CPUs",
    "keep_memory": "keeping of memory",
    "jit": "compilation",
    "data_layout": "data layout",
    "tf32": "TF32",
}


class Contestant(Protocol):
    """A trial in a race, as far as its rules go, before any run as after.

    short: its name for people. settings: all of them, flat, by what they compute.
    """

    @property
    def trial_id(self) -> str: ...
    @property
    def short(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


ContestantT = TypeVar("ContestantT", bound=Contestant)


def asked(contestant: Contestant) -> dict[str, Any]:
    """What is asked of how the backend is to run; empty where it is left as its users get it."""
    settings = contestant.settings
    return {key: settings[key] for key, usual in USUAL.items() if settings.get(key, usual) != usual}


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their tables opened: ``model_options.filters``."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if key in OPTION_TABLES:
            found |= {f"{key}.{option}": one for option, one in (value or {}).items()}
        else:
            found[key] = value
    return found


def as_computed(settings: Mapping[str, Any], backend: str, release: str = "") -> dict[str, Any]:
    """Flat settings by what they compute, so that those who do the same can be compared.

    release: of Elephas, where one was seen to run; else it is the one that trains this backend.
    """
    found = dict(settings)
    mode, merge = (found.get(f"distribution_options.{key}") for key in ("mode", "merge"))
    brought = registry.backends().get(backend)
    version = release or (brought and brought.record.elephas)
    if mode and version and merging(version, mode, merge or "as_released") == "mean":
        found["distribution_options.merge"] = "averaged"
    return found


def axes(contestants: Sequence[Contestant]) -> list[str]:
    """Settings of which some backend in its environment has several values.

    What differs only between backends, as their own environments do, names contestants.
    """
    keys = {key for contestant in contestants for key in contestant.settings} - _NO_AXES
    return sorted(key for key in keys if _is_swept(key, contestants))


def differing(races: Iterable[Sequence[Contestant]]) -> list[str]:
    """Settings in which members of some race differ: by these a contestant is the same in all races."""
    found = set()
    for members in races:
        keys = {key for member in members for key in member.settings}
        found |= {key for key in keys if len({values(member, [key]) for member in members}) > 1}
    return sorted(found)


def values(contestant: Contestant, keys: Iterable[str]) -> str:
    """Values of these settings, as text that is equal where they are."""
    return json.dumps([contestant.settings.get(key) for key in keys])


def races(contestants: Sequence[ContestantT], swept: Sequence[str]) -> list[tuple[ContestantT, ...]]:
    """Contestants that solve one problem, race by race, in their order.

    A setting that varies within one backend's trials (`swept`) tells races apart. Where no two contestants
    have equal settings (one backend under several), all of them race; but one machine never races a
    cluster, whose training times include other things.
    """
    found: dict[str, list[ContestantT]] = {}
    for contestant in contestants:
        found.setdefault(values(contestant, swept), []).append(contestant)
    if len(found) == len(contestants):
        found = {}
        for contestant in contestants:
            found.setdefault(str(contestant.settings.get("distribution", "single")), []).append(contestant)
    return [tuple(members) for members in found.values()]


def refusal(first: Contestant, second: Contestant) -> str:
    """Why two contestants of a race may not be compared, by what was asked of them; empty if they may.

    Nothing asked of one backend and something of the other is no comparison of backends, and neither
    is different work. One backend under several settings, its release among them, is compared all the same;
    for different work in one environment, see `growth`.
    """
    if _is_one_backend(first, second):
        return ""
    if first.backend != second.backend and bool(asked(first)) != bool(asked(second)):
        tuned, plain = (first, second) if asked(first) else (second, first)
        words = ", ".join(f"{how(key)} {text(key, value)}" for key, value in asked(tuned).items())
        return f"mixed tracks: {tuned.short} was set ({words}), and {plain.short} runs as its users get it"
    networks = [key for key in {**first.settings, **second.settings} if key.startswith("model_options.")]
    words = _different((*_WORK, *networks), first, second)
    device = [each.settings.get("device") for each in (first, second)]
    if device[0] != device[1]:
        words = ", ".join(filter(None, [words, f"devices {device[0]} and {device[1]}"]))
    return f"different work: {words}" if words else ""


def growth(first: Contestant, second: Contestant) -> str:
    """What makes one backend's two trials different work: ``data scale 1 and 4``; empty if nothing does.

    Their ratio of times says how cost grows, and nobody is faster.
    """
    return _different(_WORK, first, second) if _is_one_backend(first, second) else ""


def trained_otherwise(first: Contestant, second: Contestant) -> str:
    """In what two train otherwise that take the same steps: ``batch 50 and 100``; empty if in nothing."""
    partitions = [_partitions(each) for each in (first, second)]
    words = [_different(_BEYOND_A_STEP, first, second)]
    if partitions[0] != partitions[1]:
        words.append(f"{partitions[0]} and {partitions[1]} partitions")
    return ", ".join(filter(None, words))


def is_asked(first: Contestant, second: Contestant) -> bool:
    """Whether it is a question who of two contestants of a race is faster."""
    return not refusal(first, second) and not growth(first, second)


def how(key: str) -> str:
    """What a setting of how to run is called."""
    return _NAMES.get(key, key.replace("_", " "))


def _is_one_backend(first: Contestant, second: Contestant) -> bool:
    return (first.backend, first.environment) == (second.backend, second.environment)


def _partitions(contestant: Contestant) -> int:
    """Parts that its training images are dealt into; 1 on one machine."""
    if contestant.settings.get("distribution", "single") == "single":
        return 1
    layout, cpus = (contestant.settings.get(f"distribution_options.{key}") for key in ("layout", "task_cpus"))
    return slots({"layout": layout, "task_cpus": cpus or 1})


def _different(keys: Iterable[str], first: Contestant, second: Contestant) -> str:
    """Which of these settings differ, in words."""
    return ", ".join(
        f"{_WORK.get(key, key_name(key))} {text(key, first.settings.get(key))} and "
        f"{text(key, second.settings.get(key))}"
        for key in keys
        if json.dumps(first.settings.get(key)) != json.dumps(second.settings.get(key))
    )


def _is_swept(key: str, contestants: Sequence[Contestant]) -> bool:
    seen: dict[tuple[str, str], set[str]] = {}
    for contestant in contestants:
        if _applies(key, contestant.settings):
            values = seen.setdefault((contestant.backend, contestant.environment), set())
            values.add(json.dumps(contestant.settings.get(key)))
    return any(len(values) > 1 for values in seen.values())


def _applies(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting means anything beside the others: a layout does on a cluster only."""
    if key == "global_batch_size":
        return bool(settings.get("distribution", "single") == "single")
    return not key.startswith("distribution_options.") or key in settings
