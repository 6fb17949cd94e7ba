"""Labels: what tells trials apart, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from bakeoff.study import content
from bakeoff.study.definitions import contestant
from bakeoff.study.expansion import Candidate
from bakeoff.study.schema import SETTINGS, UNSET_WORDS

# Short names of keys, for values that need a name beside them: all but words.
_SHORT: Mapping[str, str] = {
    "global_batch_size": "batch",
    "train_images": "train",
    "evaluation_images": "evaluate",
    "image_size": "size",
    "learning_rate": "rate",
    "kernel_sizes": "kernels",
    "pin_cpus": "pinned",
}
_FIRST = ("dataset", "model", "contestant")


def varying(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Keys that differ between trials, in the order of a label; ``contestant`` is backend with environment.

    An option varies only among trials of one model (or optimizer): choosing another is one difference.
    """
    present = {key for candidate in candidates for key in candidate.settings} - {"backend", "environment"}
    found = [key for key in sorted(present, key=_order) if _varies(key, [c.settings for c in candidates])]
    if len({_contestant(candidate) for candidate in candidates}) > 1:
        found.append("contestant")
    return tuple(sorted(found, key=_order))


def _varies(key: str, all_settings: Sequence[Mapping[str, Any]]) -> bool:
    table, _, option = key.partition(".")
    groups: dict[Any, list[Any]] = {}
    for settings in all_settings:
        if not option or key in settings:
            group = settings[table.partition("_")[0]] if option else None
            groups.setdefault(group, []).append(settings.get(key))
    return any(value != values[0] for values in groups.values() for value in values)


def _order(key: str) -> tuple[int, str]:
    table = key.partition(".")[0]
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST) + SETTINGS.index(table), key)


def axes(candidate: Candidate, keys: Sequence[str]) -> dict[str, Any]:
    """The candidate's value of each varying key that applies to it."""
    values = {**candidate.settings, "contestant": _contestant(candidate)}
    return {key: values[key] for key in keys if key in values}


def labels(candidates: Sequence[Candidate], keys: Sequence[str]) -> list[str]:
    """One label for each, all different; the baseline of [one_at_a_time] is called so."""
    for whole_paths in (False, True):
        found = [_label(candidate, keys, whole_paths) for candidate in candidates]
        if len(set(found)) == len(found):
            return found
    return [f"{label} · {number}" for number, label in enumerate(found, 1)]


def _label(candidate: Candidate, keys: Sequence[str], whole_paths: bool) -> str:
    turns = [key for key in candidate.baseline if key in keys and key not in _FIRST]
    quiet = {key for key in turns if candidate.settings.get(key) == candidate.baseline[key]}
    shown = [(key, value) for key, value in axes(candidate, keys).items() if key not in quiet]
    parts = [_part(key, value, whole_paths) for key, value in shown]
    if turns and len(quiet) == len(turns):
        parts.append("baseline")
    return " · ".join(parts) or _contestant(candidate)


def _part(key: str, value: Any, whole_paths: bool) -> str:
    text = _text(key, value)
    if key in ("model", "dataset") and content.is_own(key, value):
        text = value if whole_paths else PurePath(value).stem
    if isinstance(value, str):
        return text
    name = key.rpartition(".")[2]
    return f"{_SHORT.get(name, name.replace('_', ' '))} {text}"


def _text(key: str, value: Any) -> str:
    if value is None:
        return UNSET_WORDS.get(key, "default")
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return "-".join(str(item) for item in value) or "none"
    return str(value)


def _contestant(candidate: Candidate) -> str:
    return contestant(candidate.settings["backend"], candidate.settings["environment"])
