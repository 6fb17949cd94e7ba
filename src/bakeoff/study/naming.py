"""Labels: what tells trials apart, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from bakeoff.study import content
from bakeoff.study.definitions import contestant
from bakeoff.study.expansion import DraftTrial
from bakeoff.study.schema import SETTINGS
from bakeoff.study.words import key_name, text
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS

# Words speak for themselves but for these, which say what only beside their key's name.
_NAMED = frozenset(
    {"frequency", "parameter_server", "merge", "data_source", "data_url", "executors", "compile_directory"}
    | {"master", "archive"}
)
_FIRST = ("dataset", "model", "contestant")
_LAYOUT = "distribution_options.layout"
_OPTIONS = list(dict.fromkeys(option for options in DISTRIBUTIONS.values() for option in options))


def varying(drafts: Sequence[DraftTrial]) -> tuple[str, ...]:
    """Keys that differ between trials, in the order of a label; ``contestant`` is backend with environment.

    An option varies only among trials of one model (or optimizer, or distribution): choosing another is
    one difference.
    """
    present = {key for draft in drafts for key in draft.settings} - {"backend", "contestant", "environment"}
    found = [key for key in sorted(present, key=_order) if _varies(key, [c.settings for c in drafts])]
    if len(set(contestants(drafts))) > 1:
        found.append("contestant")
    return tuple(sorted(found, key=_order))


def contestants(drafts: Sequence[DraftTrial]) -> list[str]:
    """The contestant's name of each."""
    environments: dict[str, set[str]] = {}
    for draft in drafts:
        settings = draft.settings
        environments.setdefault(settings["backend"], set()).add(settings["environment"])
    return [
        contestant(
            draft.settings["backend"],
            draft.settings["environment"],
            environments[draft.settings["backend"]],
        )
        for draft in drafts
    ]


def _varies(key: str, all_settings: Sequence[Mapping[str, Any]]) -> bool:
    table, _, option = key.partition(".")
    groups: dict[Any, list[Any]] = {}
    for settings in all_settings:
        if not option or key in settings:
            group = settings[table.partition("_")[0]] if option else None
            groups.setdefault(group, []).append(settings.get(key))
    return any(value != values[0] for values in groups.values() for value in values)


def _order(key: str) -> tuple[int, int, str]:
    """Settings as the format lists them, a distribution's options as its catalogue does, others by name."""
    table, _, option = key.partition(".")
    place = _FIRST.index(key) if key in _FIRST else len(_FIRST) + SETTINGS.index(table)
    return (place, _OPTIONS.index(option) if table == "distribution_options" else 0, key)


def axes(drafts: Sequence[DraftTrial], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Each draft's values of the varying keys that apply to it."""
    found = []
    for draft, name in zip(drafts, contestants(drafts), strict=True):
        values = {**draft.settings, "contestant": name}
        found.append({key: values[key] for key in keys if key in values})
    return found


def labels(drafts: Sequence[DraftTrial], keys: Sequence[str]) -> list[str]:
    """One label for each, all different; the baseline of [one_at_a_time] is called so."""
    names, values = contestants(drafts), axes(drafts, keys)
    for whole_paths in (False, True):
        found = [
            _label(draft, keys, shown, whole_paths) or name
            for draft, shown, name in zip(drafts, values, names, strict=True)
        ]
        if len(set(found)) == len(found):
            return found
    return [f"{label} · {number}" for number, label in enumerate(found, 1)]


def _label(draft: DraftTrial, keys: Sequence[str], values: Mapping[str, Any], whole_paths: bool) -> str:
    turns = [key for key in draft.baseline if key in keys and key not in _FIRST]
    quiet = {key for key in turns if draft.settings.get(key) == draft.baseline[key]}
    parts = [
        _part(key, value, whole_paths)
        for key, value in values.items()
        if key not in quiet and not _goes_without_saying(key, values)
    ]
    if turns and len(quiet) == len(turns):
        parts.append("baseline")
    return " · ".join(parts)


def _goes_without_saying(key: str, values: Mapping[str, Any]) -> bool:
    """A layout is a cluster's, a release merges as it does unless corrected, and few have a handicap."""
    return (
        (key == "distribution" and _LAYOUT in values)
        or (key == "distribution_options.merge" and values[key] == "as_released")
        or (key in ("entry", "handicap") and not values[key])
    )


def _part(key: str, value: Any, whole_paths: bool) -> str:
    shown = text(key, value)
    if key in ("model", "dataset") and content.is_own(key, value):
        shown = value if whole_paths else PurePath(value).stem
    if isinstance(value, str) and key.rpartition(".")[2] not in _NAMED:
        return shown
    return f"{key_name(key)} {shown}"
