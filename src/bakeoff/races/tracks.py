"""Under which conditions two contestants meet, by what was asked and by what was seen to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff import registry
from bakeoff.races.definitions import MATCHED, OUT_OF_THE_BOX, SETTINGS, TUNED, Contestant
from bakeoff.races.frames import plain
from bakeoff.study import racing


def track(first: Contestant, second: Contestant) -> tuple[str, tuple[str, ...]]:
    """The track of a pair, and what ran differently in the two.

    `OUT_OF_THE_BOX`: nothing was asked of either. `MATCHED`: something was asked, and what ran is the same
    as far as it governs speed. `TUNED`: something was asked, and what ran differs. `SETTINGS`: one backend
    under several settings, which are what is compared, in one release or in two.
    """
    differing = tuple(_differing(first, second))
    asked = first.asked, second.asked
    if first.backend == second.backend and (asked[0] != asked[1] or first.axes != second.axes):
        return SETTINGS, differing
    if not any(asked):
        return OUT_OF_THE_BOX, differing
    return (TUNED if differing or not all(asked) else MATCHED), differing


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
        "jit": seen.get("jit") if _has_jit(contestant) else None,
        "deterministic": seen.get("deterministic"),
        "keep_memory": seen.get("keep_memory"),
        "tf32": rounding(seen.get("tf32")),
    }
    return {key: value for key, value in found.items() if value is not None}


def _has_jit(contestant: Contestant) -> bool:
    """Whether its backend's users choose to compile or not; of an unknown backend, that they do."""
    brought = registry.backends().get(contestant.backend)
    return brought is None or brought.record.has_jit


def rounding(seen: Mapping[str, bool] | None) -> str | None:
    """What a GPU was seen to round to TF32, as ``convolution + matrix product`` or ``nothing``."""
    return None if seen is None else " + ".join(name for name, is_so in seen.items() if is_so) or "nothing"


def _differing(first: Contestant, second: Contestant) -> Iterator[str]:
    """What differs, in words: as seen where both were seen, else as asked."""
    seen = ran(first), ran(second)
    has_jit = _has_jit(first) and _has_jit(second)
    for key in ("device", *racing.USUAL):
        if key == "jit" and not has_jit:
            continue
        if key in seen[0] and key in seen[1]:
            values = seen[0][key], seen[1][key]
        else:
            usual = racing.USUAL.get(key)
            values = first.asked.get(key, usual), second.asked.get(key, usual)
        if values[0] != values[1]:
            yield f"{racing.how(key)} {plain(values[0])} and {plain(values[1])}"
