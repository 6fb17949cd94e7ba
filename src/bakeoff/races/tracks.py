"""Under which conditions two contestants meet, by what was asked and by what was seen to run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff.races.definitions import MATCHED, OUT_OF_THE_BOX, SETTINGS, TUNED, Contestant
from bakeoff.races.frames import plain

# Settings of how a backend is to run, and the default that leaves it as its users get it. The device is none
# of them: it says on what, not how.
_DEFAULTS: Mapping[str, Any] = {
    "threads": None,
    "pin_cpus": False,
    "keep_memory": False,
    "jit": None,
    "precision": "float32",
    "data_layout": "channels_last",
    "deterministic": False,
}
# Settings that say how much is to be computed: times of different work are no times to compare.
_WORK: Mapping[str, str] = {
    "epochs": "epochs",
    "train_images": "training images",
    "data_scale": "data scale",
    "image_size": "image size",
    "device": "devices",
}
# Backends whose users have no choice of compiling or not.
_ONE_WAY = frozenset({"theano", "tensorflow1", "fake"})
_NAMES: Mapping[str, str] = {
    "pin_cpus": "pinning of CPUs",
    "keep_memory": "keeping of memory",
    "jit": "compilation",
    "data_layout": "data layout",
}


def asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's settings, flat, ask of how its backend is to run; empty if they leave it alone."""
    return {key: settings[key] for key, usual in _DEFAULTS.items() if settings.get(key, usual) != usual}


def track(first: Contestant, second: Contestant) -> tuple[str, tuple[str, ...], str]:
    """The track of a pair, what ran differently in the two, and why they may not be compared (else empty).

    `OUT_OF_THE_BOX`: nothing was asked of either. `MATCHED`: something was asked, and what ran is the same
    as far as it governs speed. `TUNED`: something was asked of both, and what ran differs. `SETTINGS`: one
    backend under several settings, which are what is compared. Nothing asked of one and something of the
    other is no comparison of backends.
    """
    differing = tuple(_differing(first, second))
    if (first.backend, first.environment) == (second.backend, second.environment):
        same = first.asked == second.asked and first.axes == second.axes
        if not same:
            return SETTINGS, differing, ""
    if not first.asked and not second.asked:
        return OUT_OF_THE_BOX, differing, ""
    if bool(first.asked) != bool(second.asked):
        one, other = (first, second) if first.asked else (second, first)
        words = ", ".join(f"{_name(key)} {plain(value)}" for key, value in one.asked.items())
        why = f"{one.short} was set ({words}), and {other.short} runs as its users get it"
        return TUNED, differing, f"mixed tracks: {why}"
    return (TUNED if differing else MATCHED), differing, ""


def different_work(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Why two trials' times are those of different work; empty if they are of the same. Settings, flat."""
    keys = [key for key in {**first, **second} if key in _WORK or key.startswith("model_options.")]
    words = [
        f"{_WORK.get(key, key.rpartition('.')[2].replace('_', ' '))} {plain(first.get(key))} and "
        f"{plain(second.get(key))}"
        for key in keys
        if json.dumps(first.get(key)) != json.dumps(second.get(key))
    ]
    return f"different work: {', '.join(words)}" if words else ""


def ran(contestant: Contestant) -> dict[str, Any]:
    """What was seen to run, as far as it governs speed; what nobody saw is missing.

    threads: TensorFlow's 0 stands for every CPU. On a cluster, threads of a task.
    """
    seen = contestant.observed
    spark = seen.get("spark") or {}
    threads = spark.get("threads_per_task") if spark else seen.get("threads")
    if threads == 0:
        threads = len(seen.get("cpus") or ()) or None
    found = {
        "device": seen.get("device"),
        "threads": threads,
        "precision": seen.get("precision"),
        "data_layout": seen.get("data_layout"),
        "jit": None if contestant.backend in _ONE_WAY else seen.get("jit"),
        "deterministic": seen.get("deterministic"),
        "keep_memory": seen.get("keep_memory"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _differing(first: Contestant, second: Contestant) -> Iterator[str]:
    """What differs, in words: as seen where both were seen, else as asked."""
    seen = ran(first), ran(second)
    one_way = first.backend in _ONE_WAY or second.backend in _ONE_WAY
    for key in ("device", *_DEFAULTS):
        if key == "jit" and one_way:
            continue
        if key in seen[0] and key in seen[1]:
            values = seen[0][key], seen[1][key]
        else:
            usual = _DEFAULTS.get(key)
            values = first.asked.get(key, usual), second.asked.get(key, usual)
        if values[0] != values[1]:
            yield f"{_name(key)} {plain(values[0])} and {plain(values[1])}"


def _name(key: str) -> str:
    return _NAMES.get(key, key.replace("_", " "))
