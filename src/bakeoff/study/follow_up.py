"""``[follow_up]``: what runs once the other trials have, on that value of one axis that won."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.study import naming
from bakeoff.study.definitions import LATER_SETTINGS
from bakeoff.study.document import Place, Problems
from bakeoff.study.expansion import DraftTrial, applicable, complete
from bakeoff.study.rows import Row, read_row, without_forced
from bakeoff.study.schema import FollowUpTable, names, read, suggestion

_PLACE: Place = ("follow_up",)
# Keys that mean nothing, or something else, under another value of the one before them.
_DEPENDENT: Mapping[str, tuple[str, ...]] = {
    "contestant": ("backend", "environment"),
    "model": ("model_options",),
    "optimizer": ("optimizer_options",),
    "schedule": ("schedule_options",),
    "distribution": ("distribution_options",),
}


@dataclass(frozen=True)
class OutlineBranch:
    """One value of the axis, before trials have names.

    compared: the study's configurations that have the value, each with a name that it shares with
    those that differ from it in the axis alone. drafts: what runs if the value is the better.
    """

    value: Any
    compared: tuple[tuple[DraftTrial, str], ...]
    drafts: tuple[DraftTrial, ...]


@dataclass(frozen=True)
class Outline:
    """A follow-up before its trials have names: see `bakeoff.study.definitions.FollowUp`."""

    choose: str
    changes: Row
    branches: tuple[OutlineBranch, ...]


def outline(data: Mapping[str, Any], drafts: Sequence[DraftTrial], problems: Problems) -> Outline | None:
    """The follow-up that a file asks for; None if it asks for none, or overrides leave nothing to change.

    drafts: every configuration of the study proper. Those of the follow-up are yet to be checked.
    """
    if not data:
        return None
    document = problems.document
    table = read(FollowUpTable, data, _PLACE, problems)
    changes = without_forced(read_row(table.set, (*_PLACE, "set"), problems), document.forced)
    for key, what in (
        ("choose", "the axis whose better value goes on"),
        ("set", "a table of what then changes"),
    ):
        if not data.get(key):
            problems.add(_PLACE, f"expected `{key}`: {what}")
    drafts = [draft for draft in drafts if "backend" in draft.settings]
    if not (table.choose and changes and drafts):
        return None
    choose, lenient = table.choose, bool(document.overridden)
    if not _is_axis(choose, drafts, lenient, problems):
        return None
    chosen = changes.keys() & {choose, *_DEPENDENT.get(choose, ())}
    for key in chosen:
        problems.add(changes[key].place, f"`{choose}` is what the follow-up chooses")
    if chosen:
        return None

    branches = tuple(_branches(choose, changes, drafts))
    names_of_all = [name for branch in branches for _, name in branch.compared]
    if len(set(names_of_all)) == len(names_of_all) and not lenient:
        problems.add((*_PLACE, "choose"), f"no two trials differ in `{choose}` alone: nothing to compare")
    if not any(branch.drafts for branch in branches):
        if not lenient:
            problems.add((*_PLACE, "set"), "changes nothing: all of these trials are in the study already")
        return None
    return Outline(choose, changes, branches)


def _is_axis(choose: str, drafts: Sequence[DraftTrial], lenient: bool, problems: Problems) -> bool:
    """Whether there is a choice; an override may have left a single value, which then needs no choosing."""
    varying = naming.varying(drafts)
    known = any(choose in draft.settings for draft in drafts)
    if choose in varying or (lenient and known and choose not in ("backend", "environment")):
        return True
    expected = f"expected one of {names(varying)}" if varying else "expected an axis; this study has none"
    whole = [key for key in varying if key.rpartition(".")[2] == choose]
    if known and choose not in ("backend", "environment"):
        aside = ", which has a single value"
    else:
        aside = f"; did you mean `{whole[0]}`?" if whole else suggestion(choose, varying)
    problems.add((*_PLACE, "choose"), f"{expected}; got `{choose}`{aside}")
    return False


def _branches(choose: str, changes: Row, drafts: Sequence[DraftTrial]) -> list[OutlineBranch]:
    own = {draft.identity for draft in drafts}
    values = _values(choose, drafts)
    written = {identity: json.dumps(value) for identity, value in values.items()}
    branches = []
    for text, value in {written[identity]: value for identity, value in values.items()}.items():
        compared = [trial for trial in drafts if written.get(trial.identity) == text]
        # What has no such setting, as one machine has no layout, stands beside them all: it goes along.
        going_on = [trial for trial in drafts if written.get(trial.identity, text) == text]
        changed = {
            trial.identity: trial for trial in (_changed(draft_trial, changes) for draft_trial in going_on)
        }
        branches.append(
            OutlineBranch(
                value,
                tuple((trial, _all_but(choose, trial)) for trial in compared),
                tuple(trial for trial in changed.values() if trial.identity not in own),
            )
        )
    return branches


def _values(choose: str, drafts: Sequence[DraftTrial]) -> dict[str, Any]:
    """By identity, the value of the axis, where there is one."""
    names_of = naming.contestants(drafts)
    return {
        trial.identity: name if choose == "contestant" else trial.settings[choose]
        for trial, name in zip(drafts, names_of, strict=True)
        if choose == "contestant" or choose in trial.settings
    }


def _changed(draft: DraftTrial, changes: Row) -> DraftTrial:
    row = applicable({**draft.row, **changes})
    return DraftTrial(row, complete(row), draft.baseline)


def _all_but(choose: str, draft: DraftTrial) -> str:
    """16 hex digits that name everything of a configuration but the axis and what depends on it."""
    left_out = {choose, *_DEPENDENT.get(choose, ())}
    rest = {
        key: value
        for key, value in draft.settings.items()
        if key not in left_out
        and key.partition(".")[0] not in left_out
        and not (key in LATER_SETTINGS and value == LATER_SETTINGS[key])
    }
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
