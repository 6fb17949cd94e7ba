"""A study whose own models and data are known by what they are, instead of by their paths."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from bakeoff.errors import StudyError
from bakeoff.study.definitions import Branch, Study, Trial


def identified(study: Study, contents: Mapping[str, Mapping[str, str]]) -> Study:
    """The study with `TrialSettings.content` filled in; its trials, and so it itself, then have other names.

    contents: by trial_id, for trials that have something to fill in.

    Raises:
        StudyError: two trials turn out to be the same.
    """
    if not contents:
        return study
    before = {trial.trial_id: trial for trial in study.all_trials}
    after = {trial_id: _filled_in(trial, contents.get(trial_id, {})) for trial_id, trial in before.items()}
    _check_distinct(tuple(after.values()))
    new_id = {trial_id: trial.trial_id for trial_id, trial in after.items()}

    def fill_in(trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
        return tuple(after[trial.trial_id] for trial in trials)

    follow_up = study.follow_up and replace(
        study.follow_up,
        branches=tuple(
            Branch(
                branch.value,
                {new_id[trial_id]: name for trial_id, name in branch.compared.items()},
                fill_in(branch.trials),
            )
            for branch in study.follow_up.branches
        ),
    )
    pairs = tuple((new_id[one], new_id[other]) for one, other in study.rules.comparisons)
    digest = hashlib.sha256(json.dumps([study.digest, sorted(new_id.values())]).encode()).hexdigest()
    return replace(
        study,
        trials=fill_in(study.trials),
        follow_up=follow_up,
        rules=replace(study.rules, comparisons=pairs),
        digest=digest,
    )


def _filled_in(trial: Trial, content: Mapping[str, str]) -> Trial:
    return replace(trial, settings=replace(trial.settings, content=dict(content))) if content else trial


def _check_distinct(trials: tuple[Trial, ...]) -> None:
    """Files of different names may hold the same: what runs twice under two names would look like two."""
    first: dict[str, Trial] = {}
    problems = []
    for trial in trials:
        known = first.setdefault(trial.trial_id, trial)
        if known is not trial:
            problems.append(
                f"trials `{known.label}` and `{trial.label}`: their models and data hold the same; "
                "expected each trial once"
            )
    if problems:
        raise StudyError(
            problems, "name one of the two; to compare a contestant with itself, give it an `entry`"
        )
